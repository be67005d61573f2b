package client

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"serialhub/internal/client/clienttest"
)

// TestSilentHub gives up a stream in which nothing comes, not even a sign of life.
func TestSilentHub(t *testing.T) {
	hub := clienttest.Start(t, "", clienttest.Routes{"GET /events": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Write([]byte("id: x-1\ndata: {}\n\n"))
		w.(http.Flusher).Flush()
		for range 5 {
			select {
			case <-r.Context().Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			w.Write([]byte(":\n\n"))
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done()
	}})
	address, err := ParseAddress(hub.Address)
	if err != nil {
		t.Fatal(err)
	}
	c := New(Place{Addresses: []Address{address}}, "")
	defer c.Close()
	c.silence = 400 * time.Millisecond
	begun := time.Now()
	e, err := c.Events(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err := e.Next(); err != nil {
		t.Fatal(err)
	}
	_, err = e.Next()
	if lost := (*LostError)(nil); !errors.As(err, &lost) || !strings.Contains(lost.Reason, "no sign of life for 400ms") {
		t.Errorf("the stream ends with %v", err)
	}
	if took := time.Since(begun); took < 800*time.Millisecond {
		t.Errorf("it ends after %v, in spite of the signs of life", took)
	}
}
