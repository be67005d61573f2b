package api_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"serialhub/internal/api"
)

// TestSlowReadersOfMetrics hold up the memory of some answers, however many they are; another one is refused after a while, and not for ever.
func TestSlowReadersOfMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		under, read := 0, make(chan struct{})
		var mu sync.Mutex
		metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			mu.Lock()
			under++
			mu.Unlock()
			<-read
			w.Header().Set("Content-Type", "text/plain")
		})
		served := handler(t, api.Parts{Hub: h, Reloader: h, Metrics: metrics, Log: slog.New(slog.DiscardHandler)})
		ask := func(method string) *httptest.ResponseRecorder {
			got := httptest.NewRecorder()
			served.ServeHTTP(got, httptest.NewRequest(method, "/metrics", nil))
			return got
		}
		var slow sync.WaitGroup
		statuses := make(chan int, 20)
		for range 20 {
			slow.Go(func() { statuses <- ask("GET").Code })
		}
		begin := time.Now()
		for range 16 {
			if status := <-statuses; status != http.StatusServiceUnavailable {
				t.Errorf("one of many: %d", status)
			}
		}
		for _, method := range []string{"GET", "HEAD"} {
			if got := ask(method); got.Code != http.StatusServiceUnavailable || got.Header().Get("Retry-After") == "" || time.Since(begin) > time.Minute {
				t.Errorf("%s after %v: %d %v %s", method, time.Since(begin), got.Code, got.Header(), got.Body)
			}
		}
		mu.Lock()
		if under != 4 {
			t.Errorf("%d are answered at once", under)
		}
		mu.Unlock()
		close(read)
		slow.Wait()
		if got := ask("GET"); got.Code != http.StatusOK {
			t.Errorf("when all have been read: %d %s", got.Code, got.Body)
		}
	})
}
