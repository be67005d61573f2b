package main_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"serialhub/internal/client/clienttest"
	"serialhub/internal/testenv"
)

// happens writes events; the first has the ID x-1.
func happens(w http.ResponseWriter, data ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(w, ":\nid: x-0\n\n")
	for n, text := range data {
		fmt.Fprintf(w, "id: x-%d\nevent: any\ndata: %s\n\n", n+1, text)
	}
	w.(http.Flusher).Flush()
}

// staying is a hub at which this happens, and then nothing more.
func staying(t *testing.T, data ...string) *clienttest.Hub {
	return clienttest.Start(t, "", clienttest.Routes{"GET /events": func(w http.ResponseWriter, r *http.Request) {
		happens(w, data...)
		<-r.Context().Done()
	}})
}

const at = `"at":"2026-11-22T13:00:00.123456789Z"`

// TestEventsAsText has a line for each event.
func TestEventsAsText(t *testing.T) {
	tests := []struct{ data, want string }{
		{`"type":"state","link":"dbg","state":"up","previous":"half"`, "dbg  up, was half"},
		{`"type":"peer_connected","link":"dbg","end":"a","peer":{"pid":4711,"uid":0,"gid":0,"command":"qemu-system-i386","vm":"win7"}`, "dbg a  peer connected: qemu-system-i386 (win7), pid 4711"},
		{`"type":"peer_left","link":"dbg","end":"b","peer":{"command":"","vm":"","address":"127.0.0.1:5000"}`, "dbg b  peer left: 127.0.0.1:5000"},
		{`"type":"peer_left","link":"dbg","end":"b","peer":{"pid":1,"command":"gdb","vm":""},"reason":"the end was reset"`, "dbg b  peer left: gdb, pid 1; the end was reset"},
		{`"type":"peer_rejected","link":"dbg","end":"b","peer":{"pid":1,"command":"gdb","vm":""},"reason":"the end is taken"`, "dbg b  peer turned away: gdb, pid 1; the end is taken"},
		{`"type":"reset","link":"dbg"`, "dbg  reset"},
		{`"type":"reset","link":"dbg","end":"a"`, "dbg a  reset"},
		{`"type":"fault","link":"dbg","end":"a","message":"it\nfails"`, "dbg a  failed: it fails"},
		{`"type":"link_added","link":"x"`, "x  added"},
		{`"type":"link_removed","link":"x"`, "x  removed"},
		{`"type":"link_changed","link":"x"`, "x  changed"},
		{`"type":"reload","ok":true,"changes":{"added":["x","y"],"removed":["z"],"changed":[],"unchanged":["a","b"]}`, "hub  reloaded: added x, y; removed z; 2 unchanged"},
		{`"type":"reload","ok":false,"message":"f:3: w\n  ^","faults":[{"key":"links[0].a","line":3,"message":"wrong"},{"message":"bad"}]`,
			"hub  not reloaded, and nothing was changed: line 3: links[0].a: wrong; bad"},
		{`"type":"missed","message":"gone"`, "hub  missed: gone"},
		{`"type":"new","link":"x","message":"what"`, "x  new; what"},
		{`"type":"peer_connected","link":"dbg","end":"a","peer":{"pid":1,"command":"\u001b]0;x\u0007\u009b31m\u202eq","vm":"\u001b[2J\r\n"}`, "dbg a  peer connected: \ufffd]0;x\ufffd\ufffd31m\ufffdq (\ufffd[2J\ufffd ), pid 1"},
	}
	zone, when := "UTC", "2026-11-22 13:00:00.123"
	if _, err := os.Stat("/usr/share/zoneinfo/Asia/Tokyo"); err == nil {
		zone, when = "Asia/Tokyo", "2026-11-22 22:00:00.123"
	}
	t.Setenv("TZ", zone)
	var data []string
	want := ""
	for _, test := range tests {
		data = append(data, `{`+at+`,`+test.data+`}`)
		want += when + "  " + test.want + "\n"
	}
	hub := staying(t, data...)
	events := launch(t, "events", "--api", hub.Address)
	events.prints(&events.out, "), pid 1\n")
	if got := events.out.String(); got != want {
		t.Errorf("it prints\n%s, want\n%s", got, want)
	}
	events.cmd.Process.Signal(syscall.SIGINT)
	if code := events.code(); code != 0 || events.errs.String() != "" {
		t.Errorf("after Ctrl-C it ends with %d: %s", code, events.errs.String())
	}
}

// TestEventsAsJSON has an object on a line for each, as it came, but for what a terminal would obey.
func TestEventsAsJSON(t *testing.T) {
	hub := staying(t, `{ "type": "state", "more": 1 }`, "{\"type\":\"x\",\"message\":\"grün \u009b31m\x7f\u202e\U000e0001\"}")
	events := launch(t, "events", "-o", "json", "--api", hub.Address)
	want := "{\"type\":\"state\",\"more\":1}\n{\"type\":\"x\",\"message\":\"grün \\u009b31m\\u007f\\u202e\\udb40\\udc01\"}\n"
	events.prints(&events.out, want)
	if got := events.out.String(); got != want {
		t.Errorf("it prints %s, want %s", got, want)
	}
}

// TestEventsGoOn has the hub go away, be restarted, and tell what has happened meanwhile.
func TestEventsGoOn(t *testing.T) {
	var asked atomic.Int64
	dir := testenv.Dir(t)
	routes := clienttest.Routes{"GET /events": func(w http.ResponseWriter, r *http.Request) {
		last := r.Header.Get("Last-Event-ID")
		if link := r.URL.Query().Get("link"); link != "dbg" {
			t.Errorf("it asks for the events of %q", link)
		}
		switch n := asked.Add(1); {
		case n == 1 && last == "":
			happens(w, `{"type":"one"}`, `{"type":"two"}`)
			fmt.Fprint(w, ": the hub is being upgraded\nid: x-7\n\n")
		case n == 2 && last == "x-7":
			happens(w, `{"type":"eight"}`)
			<-r.Context().Done()
		case n == 3 && last == "x-1":
			happens(w, `{"type":"missed","message":"something"}`)
			<-r.Context().Done()
		default:
			t.Errorf("the request %d is for what comes after %q", n, last)
		}
	}}
	hub := clienttest.Start(t, "unix:"+filepath.Join(dir, "api"), routes)
	events := launch(t, "events", "dbg", "--api", hub.Address)
	events.prints(&events.errs, "serialhub: the hub is being upgraded; trying again for 30s\nserialhub: the hub is back\n")
	events.prints(&events.out, "eight\n")
	hub.Stop()
	events.prints(&events.errs, "closed without a word); trying again for 30s\n")
	clienttest.Start(t, hub.Address, routes)
	events.prints(&events.out, "missed: something\n")
	events.cmd.Process.Signal(syscall.SIGTERM)
	if code := events.code(); code != 0 || strings.Count(events.out.String(), "\n") != 4 || strings.Count(events.errs.String(), "the hub is back\n") != 2 {
		t.Errorf("it ends with %d, and has printed %q, and %q", code, events.out.String(), events.errs.String())
	}
}

func TestEventsAreRefused(t *testing.T) {
	hub := clienttest.Start(t, "", clienttest.Routes{"GET /events": clienttest.Refuse(http.StatusNotFound, "there is no such link: none")})
	expect(t, 1, "", "serialhub: there is no such link: none\n", "events", "none", "--api", hub.Address)
	expect(t, 2, "", "there are text and json", "events", "-o", "yaml", "--api", hub.Address)
	expect(t, 2, "", "one word too many", "events", "dbg", "other", "--api", hub.Address)
	expect(t, 2, "", "is not the name of a link", "events", "..", "--api", hub.Address)
	expect(t, 1, "", "no hub answers", "events", "--api", "127.0.0.1:1")
}

// TestEventsIntoHead end when nobody reads them any more, without a word, also if nothing more happens.
func TestEventsIntoHead(t *testing.T) {
	for _, data := range [][]string{{`{"type":"one"}`}, {`{"type":"one"}`, `{"type":"two"}`, `{"type":"three"}`}} {
		hub := staying(t, data...)
		out, err := exec.Command("bash", "-c", "set -o pipefail; "+binary+" events --api "+hub.Address+" -o json 2>&1 | head -n 1").CombinedOutput()
		if string(out) != "{\"type\":\"one\"}\n" {
			t.Errorf("it prints %q, %v", out, err)
		}
	}
}
