package watch

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"serialhub/internal/client"
)

// A link tells who is attached: a program on this machine by its process, and who has come by a network by the address.
func TestStatusTellsWhoIsAttached(t *testing.T) {
	h := startHub(t, link())
	local, err := h.client().Attach(context.Background(), "dbg", "a", false)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Leave()
	s := h.waitLink("half", func(s status) bool { return s.Ends["a"].Peer != nil })
	if peer := s.Ends["a"].Peer; peer.PID != os.Getpid() || peer.Command != "watch.test" || peer.Address != "" {
		t.Errorf("who is attached by a socket is %+v", peer)
	}
	network := client.New(client.Place{Addresses: []client.Address{{Network: "tcp", Address: h.tcp}}}, "")
	t.Cleanup(network.Close)
	remote, err := network.Attach(context.Background(), "dbg", "b", false)
	if err != nil {
		t.Fatal(err)
	}
	defer remote.Leave()
	s = h.waitLink("up", func(s status) bool { return s.State == "up" })
	peer := s.Ends["b"].Peer
	if host, _, err := net.SplitHostPort(peer.Address); err != nil || host != "127.0.0.1" || peer.PID != 0 {
		t.Errorf("who is attached by TCP is %+v", peer)
	}
	if _, errs, code := h.run("attach", "dbg", "--end", "b", "--api", h.tcp); code != 1 || !strings.Contains(errs, "has a peer: "+peer.Address) {
		t.Errorf("the refusal of a third one is %d: %s", code, errs)
	}
	for _, way := range [][2]*client.Attachment{{local, remote}, {remote, local}} {
		want := garbage(1 << 20)
		go way[0].Write([]byte(want))
		got := make([]byte, 0, len(want))
		for piece := make([]byte, 64<<10); len(got) < len(want); {
			n, err := way[1].Read(piece)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, piece[:n]...)
		}
		if string(got) != want {
			t.Error("other bytes have arrived than were said")
		}
	}
}

// A web page cannot watch a link, or be its peer, in the browser of somebody who may.
func TestWebPagesAreRefused(t *testing.T) {
	h := startHub(t, link())
	a, b := h.dialBoth()
	ask := func(method, path string, header map[string]string) int {
		t.Helper()
		request := httptest.NewRequest(method, "http://"+h.tcp+path, nil)
		request.RequestURI = ""
		for name, value := range map[string]string{
			"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
		} {
			request.Header.Set(name, value)
		}
		for name, value := range header {
			request.Header.Set(name, value)
		}
		if host := header["Host"]; host != "" {
			request.Host = host
		}
		response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	for _, call := range []struct{ method, path string }{
		{http.MethodGet, "/links/dbg/tap"}, {http.MethodGet, "/links/dbg/tap?follow=false"},
		{http.MethodGet, "/links/dbg/attach?end=a&replace=true"}, {http.MethodPost, "/links/dbg/send?to=a&inject=true"},
		{http.MethodGet, "/events"}, {http.MethodGet, "/events?link=dbg"},
	} {
		for _, header := range []map[string]string{
			{"Origin": "http://evil.example"},
			{"Origin": "null"},
			{"Origin": "http://localhost:1"},
			{"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"},
			{"Sec-Fetch-Site": "cross-site"},
			{"Sec-Fetch-Site": "same-site"},
			{"Host": "evil.example"},
			{"Host": "evil.example", "Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
		} {
			if code := ask(call.method, call.path, header); code != http.StatusForbidden {
				t.Errorf("%s %s with %v is answered by %d", call.method, call.path, header, code)
			}
		}
	}
	tell(t, a, b, "still there")
	tell(t, b, a, "both of us")
	for _, header := range []map[string]string{{}, {"Origin": "http://" + h.tcp}, {"Host": "localhost"}} {
		if code := ask(http.MethodGet, "/links/dbg/tap", header); code != http.StatusSwitchingProtocols {
			t.Errorf("a tap with %v is answered by %d", header, code)
		}
	}
}

// What is wrong with a call is told before there is a WebSocket.
func TestCallsThatAreWrong(t *testing.T) {
	h := startHub(t, link())
	h.dial("b")
	h.waitState("half")
	for path, want := range map[string]string{
		"/links/nosuch/tap":          "404",
		"/links/dbg/tap?format=xml":  "400",
		"/links/dbg/tap?end=c":       "400",
		"/links/dbg/tap?n=lots":      "400",
		"/links/dbg/tap?follow=what": "400",
		"/links/dbg/attach?end=a":    "426",
		"/links/dbg/attach":          "400",
		"/links/dbg/attach?end=c":    "400",
		"/events?link=nosuch":        "404",
		"/events?last_event_id=x-1":  "400",
	} {
		if err := h.get(path, nil); err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), `"detail"`) {
			t.Errorf("%s is answered by %v, want %s", path, err, want)
		}
	}
	for _, test := range []struct {
		path, body string
		want       int
	}{
		{"/links/nosuch/send?to=a", "x", 404},
		{"/links/dbg/send", "x", 400},
		{"/links/dbg/send?to=b", "", 400},
		{"/links/dbg/send?to=a", "x", 409},
		{"/links/dbg/send?to=b", strings.Repeat("x", 64<<10+1), 413},
		{"/links/dbg/send?to=b", "x", 200},
	} {
		response, err := h.http.Post("http://localhost"+test.path, "application/octet-stream", strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != test.want {
			t.Errorf("%s with %d bytes is answered by %s, want %d", test.path, len(test.body), response.Status, test.want)
		}
	}
	_, err := h.client().Attach(context.Background(), "nosuch", "a", false)
	if err == nil || !strings.Contains(fmt.Sprint(err), "nosuch") {
		t.Errorf("the end of no link: %v", err)
	}
}
