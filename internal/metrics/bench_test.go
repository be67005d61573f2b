package metrics_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"serialhub/internal/metrics"
	"serialhub/internal/supervisor"
)

// BenchmarkScrape is a scrape of a hub with that many links.
func BenchmarkScrape(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		h := &hub{links: make([]supervisor.Link, n)}
		for i := range h.links {
			h.links[i] = supervisor.Link{
				Name: fmt.Sprint("l", i), State: supervisor.LinkUp, Sessions: uint64(i),
				Ends: [2]supervisor.End{{Received: 123_456_789, Sent: uint64(i)}, {Peer: &supervisor.Peer{}}},
			}
		}
		handler := metrics.Handler(h, h, "1.2.3", slog.New(slog.DiscardHandler))
		for _, encoding := range []string{"identity", "gzip"} {
			request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			request.Header.Set("Accept-Encoding", encoding)
			b.Run(fmt.Sprintf("%d/%s", n, encoding), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					handler.ServeHTTP(&nowhere{http.Header{}}, request)
				}
			})
		}
	}
}

// nowhere takes an answer and forgets it.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header            { return n.header }
func (n *nowhere) Write(data []byte) (int, error) { return len(data), nil }
func (n *nowhere) WriteHeader(int)                {}
