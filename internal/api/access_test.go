package api_test

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"serialhub/internal/access"
	"serialhub/internal/api"
	"serialhub/internal/config"
	"serialhub/internal/rest/resttest"
	"serialhub/internal/supervisor"
)

// guarded runs the API at a port of this machine where tokens are wanted: one called admin, and one called read.
func guarded(t *testing.T, h *hub) (url string) {
	t.Helper()
	address := freeAddress(t)
	log := slog.New(slog.DiscardHandler)
	front, err := api.NewFront(handler(t, api.Parts{Hub: h, Reloader: h, Metrics: http.HandlerFunc(h.serveMetrics), Log: log}), config.API{
		Listen:    []config.APIListener{{APIAddress: config.APIAddress{Network: "tcp", Address: address}}},
		TokenFile: "/etc/serialhub/tokens",
		Tokens:    []access.Token{{Secret: "secret-of-admin", Role: access.Admin, Name: "admin"}, {Secret: "secret-of-read", Role: access.Read, Name: "read"}},
	}, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	runUntilEnd(t, front)
	return "http://" + address
}

// freeAddress is one of this machine at which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer free.Close()
	return free.Addr().String()
}

// runUntilEnd runs a front until the test ends.
func runUntilEnd(t *testing.T, front *api.Front) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- front.Run() }()
	t.Cleanup(func() {
		front.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestEveryCallTakesAToken which is good for what the call does.
func TestEveryCallTakesAToken(t *testing.T) {
	h := newHub()
	url := guarded(t, h)
	changes := []string{"attachToLink", "breakLink", "reloadConfig", "resetLink", "resetLinkByGet", "sendToLink", "startLink", "stopLink"}
	for _, call := range resttest.MustLoad(t).Calls {
		for token, want := range map[string]int{"": 401, "secret-of-nobody": 401, "secret-of-read": 403, "secret-of-admin": 0} {
			if token == "secret-of-read" && !slices.Contains(changes, call.ID) {
				want = 0
			}
			if want == 0 && isStream(call) {
				continue
			}
			request, err := http.NewRequestWithContext(t.Context(), call.Method, url+call.Example(), bodyFor(call))
			if err != nil {
				t.Fatal(err)
			}
			if token != "" {
				request.Header.Set("Authorization", "bearer "+token) // the scheme may be written in small letters
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(response.Body)
			response.Body.Close()
			if got := response.StatusCode; want != 0 && got != want || want == 0 && (got == 401 || got == 403) || (got == 401 || got == 403) != (response.Header.Get("WWW-Authenticate") != "") {
				t.Errorf("%s %s with the token %q: %s %v %s", call.Method, call.Example(), token, response.Status, response.Header, body)
			}
		}
	}
	http.DefaultClient.CloseIdleConnections()
	if did := len(h.resets); did != 5 { // by the admin: two resets, stop, start, break
		t.Errorf("%d things were done: %q", did, h.resets)
	}
}

// hubBetween does something each time that it is asked for a link.
type hubBetween struct {
	*hub
	do func()
}

func (h *hubBetween) Link(name string) (supervisor.Link, error) {
	h.do()
	return h.hub.Link(name)
}

// TestStreamThatBeginsInAReload is none of a caller who was let in before it, and would not be since.
func TestStreamThatBeginsInAReload(t *testing.T) {
	h := &hubBetween{hub: newHub()}
	log := slog.New(slog.DiscardHandler)
	c := config.API{
		Listen:    []config.APIListener{{APIAddress: config.APIAddress{Network: "tcp", Address: freeAddress(t)}}},
		TokenFile: "/etc/serialhub/tokens",
		Tokens:    []access.Token{{Secret: "secret-of-before", Role: access.Read}},
	}
	front, err := api.NewFront(handler(t, api.Parts{Hub: h, Reloader: h.hub, Log: log}), c, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	runUntilEnd(t, front)
	next := c
	next.Tokens = []access.Token{{Secret: "secret-of-after", Role: access.Read}}
	h.do = func() {
		if err := front.Move(next); err != nil {
			t.Error(err)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+c.Listen[0].Address+"/events?link=dbg", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer secret-of-before")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("%s", response.Status)
	}
}

// TestTooManyStreams are refused in the same way, whatever they are.
func TestTooManyStreams(t *testing.T) {
	r := run(t)
	r.front.Limit(4)
	r.socket("tap")
	attached := r.socket("attach?end=a")
	for _, call := range []string{"tap", "attach?end=b", "attach?end=a&replace=true"} {
		_, response, err := websocket.Dial(t.Context(), "http://localhost/links/x/"+call, &websocket.DialOptions{HTTPClient: r.http})
		if err == nil || response == nil || response.StatusCode != 503 || response.Header.Get("Retry-After") != "5" {
			t.Errorf("%s: %v, %v", call, response, err)
		}
	}
	response, err := r.http.Get("http://localhost/links/x/tap")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode != 503 || !strings.Contains(string(body), "urn:serialhub:problem:too-many-streams") {
		t.Errorf("a stream: %s %s", response.Status, body)
	}
	go attached.Read(t.Context()) // the answer to the ping
	if err := attached.Ping(t.Context()); err != nil {
		t.Errorf("who is attached has lost his end: %v", err)
	}
}
