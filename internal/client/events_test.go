package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"serialhub/internal/client"
	"serialhub/internal/client/clienttest"
	"serialhub/internal/rest"
)

// tellsEvents answers with a stream that ends after these pieces.
func tellsEvents(pieces ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, piece := range pieces {
			w.Write([]byte(piece))
			w.(http.Flusher).Flush()
		}
	}
}

// TestEvents reads streams to their ends.
func TestEvents(t *testing.T) {
	const up = `{"id":"x-3","at":"2026-11-22T13:00:00.5Z","type":"state","link":"dbg","state":"up","previous":"half"}`
	tests := []struct {
		name   string
		stream string
		want   []string // types
		last   string
		ends   string
	}{
		{"nothing", "", nil, "x-0", "closed without a word"},
		{"a comment", ":\n\n", nil, "x-0", "closed without a word"},
		{"a place", ":\nid: x-2\n\n", nil, "x-2", "closed without a word"},
		{"a place that is not complete", "id: x-2\n", nil, "x-0", "closed without a word"},
		{"an event", "id: x-3\nevent: state\ndata: " + up + "\n\n", []string{"state"}, "x-3", "closed without a word"},
		{"with other line ends", "id: x-3\r\ndata: " + up + "\r\n\r\n", []string{"state"}, "x-3", "closed without a word"},
		{"in two lines", "id:x-3\ndata:{\ndata:\"type\":\"reset\"}\n\n", []string{"reset"}, "x-3", "closed without a word"},
		{"one that is not complete", "id: x-3\ndata: " + up + "\n\nid: x-4\ndata: " + up + "\n", []string{"state"}, "x-3", "closed without a word"},
		{"of a newer hub", "retry: 7\nid: x-3\ndata: {\"type\":\"new\",\"more\":1}\n\n", []string{"new"}, "x-3", "closed without a word"},
		{"the hub says why", "id: x-3\ndata: " + up + "\n\n: the hub stops\nid: x-9\n\n", []string{"state"}, "x-9", "the hub stops"},
		{"that was something else", ": hello\n\nid: x-3\ndata: " + up + "\n\n", []string{"state"}, "x-3", "closed without a word"},
		{"no JSON", "data: hello\n\n", nil, "x-0", "does not understand"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			hub := clienttest.Start(t, "", clienttest.Routes{"GET /events": func(w http.ResponseWriter, r *http.Request) {
				if r.URL.RawQuery != "link=dbg" || r.Header.Get("Last-Event-ID") != "x-0" || r.Header.Get("Authorization") != "Bearer secret" {
					t.Errorf("it asks %s with %v", r.URL, r.Header)
				}
				tellsEvents(test.stream)(w, r)
			}})
			e, err := newClient(t, "secret", hub.Address).Events(t.Context(), "dbg", "x-0")
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			var got []string
			for err == nil {
				var event *client.Event
				if event, err = e.Next(); err == nil {
					got = append(got, string(event.Type))
				}
			}
			if !reflect.DeepEqual(got, test.want) || e.LastID() != test.last || !strings.Contains(err.Error(), test.ends) {
				t.Errorf("it tells of %q, ends at %s with %v; want %q, %s, %s", got, e.LastID(), err, test.want, test.last, test.ends)
			}
		})
	}
}

func TestEventIsWhole(t *testing.T) {
	const text = `{"id":"x-1","at":"2026-11-22T13:00:00.5Z","type":"peer_left","link":"dbg","end":"a","peer":{"pid":4711,"command":"qemu","vm":"win7"},"reason":"reset","more":1}`
	hub := clienttest.Start(t, "", clienttest.Routes{"GET /events": tellsEvents("data: " + text + "\n\n")})
	e, err := newClient(t, "", hub.Address).Events(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	got, err := e.Next()
	if err != nil {
		t.Fatal(err)
	}
	pid := 4711
	want := rest.Event{
		ID: "x-1", At: time.Date(2026, 11, 22, 13, 0, 0, 5e8, time.UTC), Type: rest.EventPeerLeft, Link: "dbg", End: "a",
		Peer: &rest.Peer{PID: &pid, Command: "qemu", VM: "win7"}, Reason: "reset",
	}
	if !reflect.DeepEqual(got.Event, want) || string(got.JSON) != text {
		t.Errorf("it is %+v, %s", got.Event, got.JSON)
	}
}

// TestNoEvents says what else than a stream has come.
func TestNoEvents(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"a refusal":       {clienttest.Refuse(http.StatusNotFound, "there is no such link: dbg"), "there is no such link: dbg"},
		"JSON":            {clienttest.Answer("{}"), "is not a hub, or one of another version"},
		"another program": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }, "is not a hub, or one of another version"},
		"lines without end": {func(w http.ResponseWriter, r *http.Request) {
			tellsEvents("data: "+strings.Repeat("x", 9<<20))(w, r)
		}, "lines without end"},
	} {
		t.Run(name, func(t *testing.T) {
			hub := clienttest.Start(t, "", clienttest.Routes{"GET /events": test.answer})
			e, err := newClient(t, "", hub.Address).Events(t.Context(), "dbg", "")
			if err == nil {
				defer e.Close()
				_, err = e.Next()
			}
			if problem := (*client.Problem)(nil); !errors.As(err, &problem) || !strings.Contains(problem.Detail, test.want) {
				t.Errorf("it is answered by %v, want %s", err, test.want)
			}
		})
	}
}

// TestEventsEnd by the caller, or because the hub is gone.
func TestEventsEnd(t *testing.T) {
	silent := func(w http.ResponseWriter, r *http.Request) {
		tellsEvents(":\n\n")(w, r)
		<-r.Context().Done()
	}
	for _, way := range []string{"cancel", "kill"} {
		hub := clienttest.Start(t, "", clienttest.Routes{"GET /events": silent})
		ctx, cancel := context.WithCancel(t.Context())
		e, err := newClient(t, "", hub.Address).Events(ctx, "", "")
		if err != nil {
			t.Fatal(err)
		}
		if way == "cancel" {
			time.AfterFunc(50*time.Millisecond, cancel)
			if _, err := e.Next(); !errors.Is(err, context.Canceled) {
				t.Errorf("a stream that was given up ends with %v", err)
			}
		} else {
			time.AfterFunc(50*time.Millisecond, hub.Stop)
			_, err := e.Next()
			if lost := (*client.LostError)(nil); !errors.As(err, &lost) || !strings.Contains(lost.Reason, "closed without a word") {
				t.Errorf("a stream of a hub that was killed ends with %v", err)
			}
		}
		e.Close()
		cancel()
	}
}

// TestEventsEndInHaste has the hub say why, and the connection break before the answer has come to its end.
func TestEventsEndInHaste(t *testing.T) {
	hub := clienttest.Start(t, "", clienttest.Routes{"GET /events": func(w http.ResponseWriter, r *http.Request) {
		tellsEvents(": the hub stops\nid: x-1\n\n")(w, r)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}})
	e, err := newClient(t, "", hub.Address).Events(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err = e.Next(); err == nil || err.Error() != "the hub stops" || e.LastID() != "x-1" {
		t.Errorf("it ends with %v, at %q", err, e.LastID())
	}
}

// FuzzEvents reads streams of any bytes: it ends, and every event is JSON.
func FuzzEvents(f *testing.F) {
	f.Add("id: x-1\nevent: state\ndata: {\"type\":\"state\"}\n\n: bye\n\n")
	f.Add("data: {\ndata: }\n\nid\n\n:\r\n\r\n")
	f.Add("data\n\n\x00\xff: \n\ndata: null\n\n")
	var stream atomic.Value
	hub := clienttest.Start(f, "", clienttest.Routes{"GET /events": func(w http.ResponseWriter, r *http.Request) {
		tellsEvents(stream.Load().(string))(w, r)
	}})
	address, err := client.ParseAddress(hub.Address)
	if err != nil {
		f.Fatal(err)
	}
	c := client.New(client.Place{Addresses: []client.Address{address}}, "")
	f.Cleanup(c.Close)
	f.Fuzz(func(t *testing.T, text string) {
		stream.Store(text)
		e, err := c.Events(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		for n := 0; ; n++ {
			event, err := e.Next()
			if err != nil {
				break
			}
			if !json.Valid(event.JSON) || n > len(text) {
				t.Fatalf("event %d is %q", n, event.JSON)
			}
		}
		if strings.ContainsAny(e.LastID(), "\r\n") {
			t.Fatalf("the last ID is %q", e.LastID())
		}
	})
}
