package api_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"serialhub/internal/api"
	"serialhub/internal/events"
	"serialhub/internal/testenv"
)

// streaming serves the API with a log of events.
func streaming(t testing.TB) (log *events.Log, server *httptest.Server) {
	log = events.NewLog()
	hub := newHub()
	parts := api.Parts{Hub: hub, Reloader: hub, Events: log, Log: slog.New(slog.DiscardHandler)}
	if test, ok := t.(*testing.T); ok {
		server = httptest.NewServer(handler(test, parts))
	} else {
		server = httptest.NewServer(api.Handler(parts))
	}
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	return log, server
}

// TestEventsAsJSON tells of one of each type.
func TestEventsAsJSON(t *testing.T) {
	log, server := streaming(t)
	at := time.Date(2026, 11, 22, 14, 0, 0, 123456789, time.FixedZone("CET", 3600))
	peer := &events.Peer{PID: 4711, UID: 1, GID: 2, Command: "qemu\n<&>", VM: "win7"}
	changes := &events.Changes{Added: []string{"x"}}
	faults := []events.ConfigFault{{Key: "links", Line: 3, Column: 1, Message: "wrong", Source: "links: 1"}, {Message: "bad"}}
	tests := []struct {
		event events.Event
		want  string
	}{
		{events.Event{Type: events.State, Link: "dbg", State: "up", Previous: "half"}, `"type": "state", "link": "dbg", "state": "up", "previous": "half"`},
		{events.Event{Type: events.Connected, Link: "dbg", End: "a", Peer: peer},
			`"type": "peer_connected", "link": "dbg", "end": "a", "peer": {"pid": 4711, "uid": 1, "gid": 2, "command": "qemu\n<&>", "vm": "win7"}`},
		{events.Event{Type: events.Left, Link: "dbg", End: "b", Peer: &events.Peer{Address: "127.0.0.1:1", Subject: "CN=x"}},
			`"type": "peer_left", "link": "dbg", "end": "b", "peer": {"command": "", "vm": "", "address": "127.0.0.1:1", "subject": "CN=x"}`},
		{events.Event{Type: events.Left, Link: "dbg", End: "b", Peer: &events.Peer{}, Reason: "the end was reset"},
			`"type": "peer_left", "link": "dbg", "end": "b", "peer": {"pid": 0, "uid": 0, "gid": 0, "command": "", "vm": ""}, "reason": "the end was reset"`},
		{events.Event{Type: events.Rejected, Link: "dbg", End: "b", Peer: &events.Peer{Address: "x"}, Reason: "the end is taken"},
			`"type": "peer_rejected", "link": "dbg", "end": "b", "peer": {"command": "", "vm": "", "address": "x"}, "reason": "the end is taken"`},
		{events.Event{Type: events.Reset, Link: "dbg"}, `"type": "reset", "link": "dbg"`},
		{events.Event{Type: events.Reset, Link: "dbg", End: "a"}, `"type": "reset", "link": "dbg", "end": "a"`},
		{events.Event{Type: events.Fault, Link: "dbg", Message: "it\nfails"}, `"type": "fault", "link": "dbg", "message": "it\nfails"`},
		{events.Event{Type: events.LinkAdded, Link: "x"}, `"type": "link_added", "link": "x"`},
		{events.Event{Type: events.LinkRemoved, Link: "x"}, `"type": "link_removed", "link": "x"`},
		{events.Event{Type: events.LinkChanged, Link: "x"}, `"type": "link_changed", "link": "x"`},
		{events.Event{Type: events.Reload, Changes: changes}, `"type": "reload", "ok": true, "changes": {"added": ["x"], "removed": [], "changed": [], "unchanged": []}`},
		{events.Event{Type: events.Reload, Message: "wrong", Faults: faults},
			`"type": "reload", "ok": false, "message": "wrong", "faults": [{"key": "links", "line": 3, "column": 1, "message": "wrong", "source": "links: 1"}, {"message": "bad"}]`},
	}
	h := hear(t, server.Client(), server.URL+"/events", "")
	for _, test := range tests {
		test.event.At = at
		log.Publish(test.event)
		got := h.must()
		if got.kind != string(test.event.Type) || got.id == "" {
			t.Errorf("an event is %+v, want %s", got, test.event.Type)
		}
		sameJSON(t, got.data, fmt.Sprintf(`{"id": %q, "at": "2026-11-22T13:00:00.123456789Z", %s}`, got.id, test.want))
	}
}

// TestStreamsOfOneLink tell of that alone, and up to where they have told it.
func TestStreamsOfOneLink(t *testing.T) {
	log, server := streaming(t)
	all := hear(t, server.Client(), server.URL+"/events", "")
	dbg := hear(t, server.Client(), server.URL+"/events?link=dbg", "")
	for n := range 100 {
		link := []string{"dbg", "other", "new", "gone"}[n%4]
		log.Publish(events.Event{Type: events.Reset, Link: link, Message: strconv.Itoa(n)})
	}
	log.Publish(events.Event{Type: events.LinkRemoved, Link: "dbg"})
	log.Publish(events.Event{Type: events.LinkAdded, Link: "dbg"})
	var want, got []told
	for range 102 {
		if e := all.must(); strings.Contains(e.data, `"link":"dbg"`) {
			want = append(want, e)
		}
	}
	for range want {
		got = append(got, dbg.must())
	}
	if len(want) != 27 || !reflect.DeepEqual(got, want) {
		t.Errorf("of the link is told %v, want %v", got, want)
	}
	response, body := get(t, server, "/events?link=none")
	if response.StatusCode != http.StatusNotFound || !strings.Contains(body, "no such link: none") {
		t.Errorf("events of no link: %s %s", response.Status, body)
	}
	for _, query := range []string{"?links=dbg", "?link=dbg&link=other", "?last_event_id=1"} {
		if response, body := get(t, server, "/events"+query); response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s %s", query, response.Status, body)
		}
	}
}

func get(t *testing.T, server *httptest.Server, path string) (*http.Response, string) {
	t.Helper()
	response, err := server.Client().Get(server.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestEventHeaders(t *testing.T) {
	_, server := streaming(t)
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/events", nil)
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	for name, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no", "Content-Encoding": ""} {
		if got := response.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// TestGoingOn has streams go on after each of what has happened, and after what is not known.
func TestGoingOn(t *testing.T) {
	log, server := streaming(t)
	first := hear(t, server.Client(), server.URL+"/events", "")
	if said, err := first.next(); err != nil || said.id == "" || said.data != "" {
		t.Fatalf("a stream begins with %+v, %v: from where to go on is not known", said, err)
	}
	ids := []string{first.last}
	for n := range 5 {
		log.Publish(events.Event{Type: events.Fault, Link: "dbg", Message: strconv.Itoa(n)})
		ids = append(ids, first.must().id)
	}
	for after, id := range ids {
		h := hear(t, server.Client(), server.URL+"/events", id)
		for _, want := range ids[after+1:] {
			if got := h.must(); got.id != want {
				t.Errorf("after %s comes %s, want %s", id, got.id, want)
			}
		}
	}
	for _, id := range []string{"other-3", "garbage", "-", ids[5] + "0000"} {
		h := hear(t, server.Client(), server.URL+"/events", id)
		missed := h.must()
		var event struct{ ID, Type, Message string }
		if err := json.Unmarshal([]byte(missed.data), &event); err != nil || missed.kind != "missed" || event.Type != "missed" || event.ID != ids[0] || missed.id != ids[0] || event.Message == "" {
			t.Errorf("after %q comes %+v", id, missed)
		}
		if got := h.must(); got.id != ids[1] {
			t.Errorf("after that comes %+v", got)
		}
	}
}

// TestNothingIsLostOrDoubled breaks streams at any byte, goes on with others, and compares what they hear together with what one hears that stays.
func TestNothingIsLostOrDoubled(t *testing.T) {
	log, server := streaming(t)
	const total = 3000
	stays := hear(t, server.Client(), server.URL+"/events?link=dbg", "")
	begun := stays.last
	if said, err := stays.next(); err == nil {
		begun = said.id
	}
	var publisher sync.WaitGroup
	publisher.Go(func() {
		for n := range total {
			log.Publish(events.Event{Type: events.Fault, Link: []string{"dbg", "other"}[n%2], Message: strconv.Itoa(n)})
			if n%10 == 0 {
				<-time.After(time.Millisecond)
			}
		}
	})
	breaks := make([]int, 4)
	heard := make([][]told, len(breaks))
	var readers sync.WaitGroup
	for i := range heard {
		readers.Go(func() {
			for last := begun; len(heard[i]) < total/2; breaks[i]++ {
				h := hear(t, server.Client(), server.URL+"/events?link=dbg", last)
				h.lines = bufio.NewReaderSize(io.LimitReader(h.body, rand.Int64N(60_000)), 16)
				for len(heard[i]) < total/2 {
					e, err := h.event()
					if err != nil {
						break
					}
					heard[i] = append(heard[i], e)
				}
				last = h.last
				h.body.Close()
			}
		})
	}
	var want []told
	for range total / 2 {
		want = append(want, stays.must())
	}
	readers.Wait()
	publisher.Wait()
	for i := range heard {
		if !reflect.DeepEqual(heard[i], want) {
			t.Errorf("reader %d, with %d streams, has heard something else than the one that has stayed", i, breaks[i])
		}
	}
	t.Logf("streams: %v", breaks)
}

// TestManyReadersAndCallers has 200 read events, and 200 ask for the links again and again, while links run and peers come and go. Each reader hears all in order.
func TestManyReadersAndCallers(t *testing.T) {
	r := run(t)
	done := make(chan struct{})
	var storm, readers, callers sync.WaitGroup
	var heard, answers atomic.Int64
	lost := make(chan string, 1000)
	var open []*hearing
	for i := range 200 {
		h := hear(t, r.http, "http://localhost/events"+[]string{"", "?link=x"}[i%2], "")
		open = append(open, h)
		readers.Go(func() {
			last := -1
			for {
				e, err := h.event()
				if err != nil {
					return
				}
				_, digits, _ := strings.Cut(e.id, "-")
				n, _ := strconv.Atoi(digits)
				if last >= 0 && n != last+1 {
					lost <- fmt.Sprintf("after %d comes %d", last, n)
				}
				last = n
				heard.Add(1)
			}
		})
	}
	for _, end := range []string{"a", "b"} {
		storm.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(5 * time.Millisecond):
				}
				if conn, err := net.Dial("unix", filepath.Join(r.dir, end)); err == nil {
					conn.Close()
				}
			}
		})
	}
	begun := time.Now()
	for range 200 {
		callers.Go(func() {
			for range 10 {
				response, err := r.http.Get("http://localhost/links")
				if err != nil {
					lost <- err.Error()
					return
				}
				body, err := io.ReadAll(response.Body)
				response.Body.Close()
				if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(body), `"name": "x"`) {
					lost <- fmt.Sprint(response.Status, string(body), err)
				}
				answers.Add(1)
			}
		})
	}
	callers.Wait()
	took := time.Since(begun)
	close(done)
	storm.Wait()
	last := r.hub.Events().Now().Position()
	testenv.Eventually(t, patience, "everybody has heard all", func() error {
		if n := r.hub.Events().Now().Position(); n != last {
			last = n
			return errors.New("more has happened")
		}
		_, digits, _ := strings.Cut(last, "-")
		if n, _ := strconv.ParseInt(digits, 10, 64); heard.Load() < n*150 { // as one may have begun late
			return fmt.Errorf("%d were heard, and %d have happened", heard.Load(), n)
		}
		return nil
	})
	for _, h := range open {
		h.body.Close()
	}
	readers.Wait()
	close(lost)
	for text := range lost {
		t.Error(text)
	}
	t.Logf("%d events were heard, up to %s; %d answers in %v", heard.Load(), last, answers.Load(), took)
}

// TestReaderThatNeverReads is dropped, and holds up nobody.
func TestReaderThatNeverReads(t *testing.T) {
	r := run(t)
	conn, err := net.Dial("unix", filepath.Join(r.dir, "api"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	reads := hear(t, r.http, "http://localhost/events?link=x", "")
	log := r.hub.Events()
	first := make([]byte, 1)
	if _, err := conn.Read(first); err != nil {
		t.Fatal(err)
	}
	noise := events.Event{Type: events.Fault, Link: "noise", Message: strings.Repeat("noise ", 100)}
	begun := time.Now()
	for n := range 20_000 {
		log.Publish(noise)
		if n%1000 == 0 {
			log.Publish(events.Event{Type: events.Fault, Link: "x", Message: strconv.Itoa(n)})
			var event struct{ Message string }
			if e := reads.must(); json.Unmarshal([]byte(e.data), &event) != nil || event.Message != strconv.Itoa(n) {
				t.Fatalf("who reads hears %+v", e)
			}
		}
	}
	t.Logf("20,000 events in %v", time.Since(begun))
	conn.SetReadDeadline(time.Now().Add(patience)) // less than it takes until somebody is thought not to read
	rest, err := io.ReadAll(conn)
	if err != nil {
		t.Errorf("the stream goes on: %v", err)
	}
	if !strings.Contains(string(rest), "it reads too slowly") {
		t.Errorf("it is not told why: %q", rest[max(0, len(rest)-300):])
	}
}

// TestStreamsHearWhyTheyEnd ends them, by a stop and by an upgrade; what happened before is heard.
func TestStreamsHearWhyTheyEnd(t *testing.T) {
	for reason, end := range map[string]func(r *running){
		"the hub stops":             func(r *running) { r.stop() },
		"the hub is being upgraded": func(r *running) { r.front.Pause()() },
	} {
		t.Run(reason, func(t *testing.T) {
			testenv.NoDescriptorsLeft(t)
			r := run(t)
			h := hear(t, r.http, "http://localhost/events", "")
			idle := hear(t, r.http, "http://localhost/events?link=x", "")
			stuck, err := net.Dial("unix", filepath.Join(r.dir, "api"))
			if err != nil {
				t.Fatal(err)
			}
			defer stuck.Close()
			fmt.Fprint(stuck, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
			stuck.Read(make([]byte, 1))
			for n := range 100 { // large ones: an answer ends only when all of it has been judged, and there is little time for that
				r.hub.Events().Publish(events.Event{Type: events.Fault, Link: "y", Message: strings.Repeat("x", 10_000) + strconv.Itoa(n)})
			}
			last := r.hub.Events().Now().Position()
			for e := (told{}); e.id != last; {
				e = h.must()
			}
			begun := time.Now()
			end(r)
			if took := time.Since(begun); took > 2*time.Second {
				t.Errorf("it takes %v", took)
			}
			for _, h := range []*hearing{h, idle} {
				for {
					said, err := h.next()
					if err != nil {
						t.Fatalf("it ends with %v", err)
					}
					if said.comment != "" && said.comment != ":" {
						if said.comment != ": "+reason || h.last != last {
							t.Errorf("it hears %+v in the end, at %s of %s", said, h.last, last)
						}
						break
					}
				}
				if said, err := h.next(); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("after the end comes %+v, %v", said, err)
				}
			}
		})
	}
}

// TestNoStreamWhileTheHubIsReplaced asks by a connection that was open before.
func TestNoStreamWhileTheHubIsReplaced(t *testing.T) {
	r := run(t)
	conn, err := net.Dial("unix", filepath.Join(r.dir, "api"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	ask := func(path string, want int, text string) {
		t.Helper()
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path)
		response, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if want == http.StatusOK && path == "/events" { // it has no end
			if response.StatusCode != want {
				t.Errorf("%s: %s", path, response.Status)
			}
			return
		}
		if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != want || !strings.Contains(string(body), text) {
			t.Errorf("%s: %s %s %v", path, response.Status, body, err)
		}
	}
	ask("/healthz", http.StatusOK, "ok")
	resume := r.front.Pause()
	ask("/events", http.StatusServiceUnavailable, "the hub is being upgraded")
	resume()
	ask("/events", http.StatusOK, "")
}
