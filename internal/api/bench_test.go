package api_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"serialhub/internal/api"
	"serialhub/internal/supervisor"
)

// BenchmarkLinks is GET /links of a hub with that many links, each of which has both peers.
func BenchmarkLinks(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			now := time.Now()
			end := func(i int, side string) supervisor.End {
				return supervisor.End{
					Address: fmt.Sprintf("unix:/run/serialhub/l%d-%s", i, side), Way: "listen", State: supervisor.EndConnected, Since: now,
					Connections: 1, Received: 123_456_789, Sent: 987_654_321,
					Peer: &supervisor.Peer{PID: 4711, Command: "qemu-system-x86_64", VM: fmt.Sprint("vm", i)},
				}
			}
			h := newHub()
			h.list = make([]supervisor.Link, n)
			for i := range h.list {
				h.list[i] = supervisor.Link{Name: fmt.Sprint("l", i), State: supervisor.LinkUp, Since: now, Sessions: 1, Ends: [2]supervisor.End{end(i, "a"), end(i, "b")}}
			}
			handler := api.Handler(api.Parts{Hub: h, Reloader: h, Log: slog.New(slog.DiscardHandler)})
			request := httptest.NewRequest(http.MethodGet, "/links", nil)
			b.ReportAllocs()
			for b.Loop() {
				answer := nowhere{header: http.Header{}}
				handler.ServeHTTP(&answer, request)
				b.ReportMetric(float64(answer.bytes)/float64(n), "B/link")
			}
		})
	}
}

// nowhere takes an answer and forgets it.
type nowhere struct {
	header http.Header
	bytes  int
}

func (n *nowhere) Header() http.Header { return n.header }
func (n *nowhere) WriteHeader(int)     {}
func (n *nowhere) Write(data []byte) (int, error) {
	n.bytes += len(data)
	return len(data), nil
}
