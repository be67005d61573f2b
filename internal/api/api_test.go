package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"serialhub/internal/api"
	"serialhub/internal/config"
	"serialhub/internal/endpoint"
	"serialhub/internal/relay"
	"serialhub/internal/reload"
	"serialhub/internal/supervisor"
	"serialhub/internal/watch"
)

// hub stands in for the supervisor, so that each answer is known to the byte.
type hub struct {
	api.Hub // for what is not asked of it
	list    []supervisor.Link
	closed  []string
	resets  []string
	fail    error
	reload  reload.Result
	say     error
	attach  error
	broken  bool
}

func (h *hub) Reload(context.Context) (config.Changes, error) {
	return h.whole().reload.Changes, h.reload.Err
}

func (h *hub) Last() reload.Result { return h.reload }

func (h *hub) Links() []supervisor.Link       { return h.whole().list }
func (h *hub) All() iter.Seq[supervisor.Link] { return slices.Values(h.whole().list) }
func (h *hub) NotOpen() []string              { return h.whole().closed }

// whole panics if the hub is broken.
func (h *hub) whole() *hub {
	if h.broken {
		panic("it is broken")
	}
	return h
}

func (h *hub) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	links := h.Links()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	fmt.Fprintln(w, "links", len(links))
}

func (h *hub) Say(_ context.Context, name string, _ relay.Side, _ []byte, _ bool) error {
	_, err := h.Link(name)
	return errors.Join(err, h.say)
}

func (h *hub) Attach(_ context.Context, name string, _ relay.Side, _ endpoint.Credentials, _ bool) (*supervisor.Attached, error) {
	_, err := h.Link(name)
	return nil, errors.Join(err, h.attach)
}

func (h *hub) Tap(name string, _ func(*watch.Tape) *watch.Reader) (*supervisor.Tap, error) {
	_, err := h.Link(name)
	return nil, err
}

func (h *hub) Link(name string) (supervisor.Link, error) {
	for _, l := range h.whole().list {
		if l.Name == name {
			return l, h.fail
		}
	}
	return supervisor.Link{}, fmt.Errorf("%w: %s", supervisor.ErrNoLink, name)
}

func (h *hub) Reset(_ context.Context, name string, sides ...relay.Side) (supervisor.Link, error) {
	h.resets = append(h.resets, fmt.Sprint(name, sides))
	return h.Link(name)
}

func (h *hub) StopLink(_ context.Context, name string) (supervisor.Link, error) {
	h.resets = append(h.resets, "stop "+name)
	return h.Link(name)
}

func (h *hub) Break(name string, side relay.Side, d time.Duration) error {
	if _, err := h.Link(name); err != nil {
		return err
	}
	if side == relay.B {
		return errors.New("only a serial port can send a break")
	}
	h.resets = append(h.resets, fmt.Sprint("break ", name, side, d))
	return nil
}

func (h *hub) StartLink(_ context.Context, name string) (supervisor.Link, error) {
	h.resets = append(h.resets, "start "+name)
	return h.Link(name)
}

func newHub() *hub {
	at := time.Date(2026, 11, 22, 14, 0, 0, 0, time.FixedZone("CET", 3600))
	return &hub{reload: reload.Result{At: at}, list: []supervisor.Link{
		{
			Name: "dbg", State: supervisor.LinkHalf, Since: at, Sessions: 3, Resets: 1, Failures: 2,
			Last:       &supervisor.Failure{At: at, End: "a", Message: "in use"},
			Transcript: &supervisor.Transcript{File: "/var/log/dbg.log", Since: at, Err: "no space left on device"},
			Ends: [2]supervisor.End{
				{Address: "unix:/tmp/a", Way: "listen", State: supervisor.EndConnected, Since: at, Connections: 3, Rejected: 1, Received: 1234, Sent: 987, Discarded: 5,
					Peer: &supervisor.Peer{PID: 4711, UID: 1, GID: 2, Command: "qemu-system-i386", VM: "win7"}},
				{Address: "unix:/tmp/b", Way: "listen", State: supervisor.EndRetrying, Since: at, Error: "in use", Queued: []supervisor.Peer{{PID: 4712, Command: "gdb"}}, Copied: true},
			},
		},
		{
			Name: "other", State: supervisor.LinkWaiting, Since: at,
			Ends: [2]supervisor.End{
				{Address: "tcp:127.0.0.1:1", Way: "connect", State: supervisor.EndConnected, Peer: &supervisor.Peer{Address: "127.0.0.1:1", Subject: "CN=lab"}},
				{Address: "/run/x.tty", Way: "pty", State: supervisor.EndConnected, Peer: &supervisor.Peer{PID: 4, Command: "picocom", Address: "/dev/pts/3"}},
			},
		},
	}}
}

// serve runs the API on a loopback port, and returns a function that asks it.
func serve(t *testing.T, h *hub) func(method, path string, headers ...string) (*http.Response, string) {
	t.Helper()
	ask := serveBody(t, h)
	return func(method, path string, headers ...string) (*http.Response, string) {
		t.Helper()
		return ask(method, path, nil, headers...)
	}
}

// serveBody is serve for requests with a body.
func serveBody(t *testing.T, h *hub) func(method, path string, body io.Reader, headers ...string) (*http.Response, string) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	about := api.About{Version: "1.2.3", Config: "/etc/links.yaml", StartedAt: time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC)}
	server := httptest.NewServer(handler(t, api.Parts{Hub: h, Reloader: h, About: about, Metrics: http.HandlerFunc(h.serveMetrics), Log: log}))
	t.Cleanup(server.Close)
	client := server.Client()
	client.Timeout = 20 * time.Second
	return func(method, path string, body io.Reader, headers ...string) (*http.Response, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, body)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			request.Header.Set(headers[i], headers[i+1])
			if headers[i] == "Host" {
				request.Host = headers[i+1]
			}
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response, string(text)
	}
}

const dbgJSON = `{
	"name": "dbg", "state": "half", "since": "2026-11-22T13:00:00Z", "sessions": 3, "resets": 1, "failures": 2,
	"last_error": {"at": "2026-11-22T13:00:00Z", "end": "a", "message": "in use"},
	"transcript": {"file": "/var/log/dbg.log", "state": "failing", "since": "2026-11-22T13:00:00Z", "error": "no space left on device"},
	"ends": {
		"a": {"address": "unix:/tmp/a", "mode": "listen", "state": "connected", "since": "2026-11-22T13:00:00Z", "error": null,
			"peer": {"pid": 4711, "uid": 1, "gid": 2, "command": "qemu-system-i386", "vm": "win7"}, "queued": [],
			"connections": 3, "rejected": 1, "received_bytes": 1234, "sent_bytes": 987, "discarded_bytes": 5, "path": "splice"},
		"b": {"address": "unix:/tmp/b", "mode": "listen", "state": "retrying", "since": "2026-11-22T13:00:00Z", "error": "in use", "peer": null,
			"queued": [{"pid": 4712, "uid": 0, "gid": 0, "command": "gdb", "vm": ""}],
			"connections": 0, "rejected": 0, "received_bytes": 0, "sent_bytes": 0, "discarded_bytes": 0, "path": "copy"}
	}}`

// sameJSON compares two JSON texts by what they mean.
func sameJSON(t *testing.T, got, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("%v in %s", err, got)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestLinkAsJSON(t *testing.T) {
	ask := serve(t, newHub())
	response, body := ask("GET", "/links/dbg")
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s, %s", response.Status, response.Header.Get("Content-Type"))
	}
	sameJSON(t, body, dbgJSON)
}

// TestListIsIndented like everything else, however many links there are.
func TestListIsIndented(t *testing.T) {
	for n := range 3 {
		h := newHub()
		h.list = h.list[:n]
		_, body := serve(t, h)("GET", "/links")
		var want bytes.Buffer
		if err := json.Indent(&want, []byte(body), "", "  "); err != nil || body != want.String() {
			t.Errorf("%d links: %v in\n%s\nindented, it is\n%s", n, err, body, &want)
		}
	}
}

// TestPeersThatAreNoProcessesOfThisMachine have no numbers.
func TestPeersThatAreNoProcessesOfThisMachine(t *testing.T) {
	ask := serve(t, newHub())
	_, body := ask("GET", "/links/other")
	var got struct {
		Ends map[string]struct {
			Mode string
			Peer json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if a, b := got.Ends["a"].Mode, got.Ends["b"].Mode; a != "connect" || b != "pty" {
		t.Errorf("the modes are %s and %s", a, b)
	}
	sameJSON(t, string(got.Ends["a"].Peer), `{"command": "", "vm": "", "address": "127.0.0.1:1", "subject": "CN=lab"}`)
	sameJSON(t, string(got.Ends["b"].Peer), `{"pid": 4, "uid": 0, "gid": 0, "command": "picocom", "vm": "", "address": "/dev/pts/3"}`)
}

func TestBreak(t *testing.T) {
	tests := []struct {
		name, path string
		status     int
		says, does string
	}{
		{"as usual", "/links/dbg/break?end=a", 200, `"name": "dbg"`, "break dbga 250ms"},
		{"long", "/links/dbg/break?end=a&duration=1s", 200, `"name": "dbg"`, "break dbga 1s"},
		{"too long", "/links/dbg/break?end=a&duration=1h", 400, "not how long a break can be", ""},
		{"no time", "/links/dbg/break?end=a&duration=long", 400, "not how long a break can be", ""},
		{"no end", "/links/dbg/break", 400, "?end=a", ""},
		{"not a serial port", "/links/dbg/break?end=b", 409, "only a serial port", ""},
		{"no link", "/links/none/break?end=a", 404, "no such link", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHub()
			response, body := serve(t, h)("POST", test.path)
			if response.StatusCode != test.status || !strings.Contains(body, test.says) {
				t.Errorf("%s: %s", response.Status, body)
			}
			if got := strings.Join(h.resets, ""); got != test.does {
				t.Errorf("it did %q, want %q", got, test.does)
			}
		})
	}
}

func TestLinksAreInOrder(t *testing.T) {
	ask := serve(t, newHub())
	_, body := ask("GET", "/links")
	var got struct{ Links []struct{ Name string } }
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got.Links) != "[{dbg} {other}]" {
		t.Errorf("the links are %v", got.Links)
	}
	_, body = serve(t, &hub{})("GET", "/links")
	sameJSON(t, body, `{"links": []}`)
}

func TestReset(t *testing.T) {
	for _, test := range []struct{ method, path, want string }{
		{"GET", "/links/dbg/reset", "dbg[]"},
		{"POST", "/links/dbg/reset", "dbg[]"},
		{"POST", "/links/dbg/reset?end=a", "dbg[a]"},
		{"GET", "/links/dbg/reset?end=b", "dbg[b]"},
	} {
		h := newHub()
		response, body := serve(t, h)(test.method, test.path)
		if response.StatusCode != 200 || len(h.resets) != 1 || h.resets[0] != test.want {
			t.Errorf("%s %s: %s, reset %v, want %s", test.method, test.path, response.Status, h.resets, test.want)
		}
		sameJSON(t, body, dbgJSON)
	}
}

func TestStopAndStart(t *testing.T) {
	for _, verb := range []string{"stop", "start"} {
		h := newHub()
		ask := serve(t, h)
		response, body := ask("POST", "/links/dbg/"+verb)
		if response.StatusCode != 200 || len(h.resets) != 1 || h.resets[0] != verb+" dbg" {
			t.Errorf("%s: %s, done %v", verb, response.Status, h.resets)
		}
		sameJSON(t, body, dbgJSON)
		if response, _ := ask("GET", "/links/dbg/"+verb); response.StatusCode != 405 {
			t.Errorf("a GET that changes something: %s", response.Status)
		}
		if response, _ := ask("POST", "/links/dgb/"+verb); response.StatusCode != 404 {
			t.Errorf("%s of no link: %s", verb, response.Status)
		}
	}
}

func TestStatus(t *testing.T) {
	_, body := serve(t, newHub())("GET", "/status")
	sameJSON(t, body, fmt.Sprintf(`{"version": "1.2.3", "pid": %d, "started_at": "2026-11-22T13:00:00Z", "config": "/etc/links.yaml",
		"last_reload": {"at": "2026-11-22T13:00:00Z", "ok": true, "error": null},
		"links": {"starting": 0, "waiting": 1, "half": 1, "up": 0, "retrying": 0, "failed": 0, "stopped": 0}}`, os.Getpid()))
}

func TestReload(t *testing.T) {
	h := newHub()
	h.reload.Changes = config.Changes{Added: []string{"new"}, Unchanged: []string{"dbg", "other"}}
	ask := serve(t, h)
	response, body := ask("POST", "/reload")
	if response.StatusCode != 200 {
		t.Error(response.Status)
	}
	sameJSON(t, body, `{"added": ["new"], "removed": [], "changed": [], "unchanged": ["dbg", "other"]}`)
	if response, _ := ask("GET", "/reload"); response.StatusCode != 405 {
		t.Errorf("GET: %s", response.Status)
	}

	h.reload.Err = &config.Faults{File: "/etc/links.yaml", List: []config.Fault{
		{Key: "links[0].c", Line: 5, Column: 3, Message: "unknown key", Source: "  c: 1"},
		{Message: "another"},
	}}
	response, body = ask("POST", "/reload")
	if response.StatusCode != 422 {
		t.Error(response.Status)
	}
	sameJSON(t, body, `{"type": "urn:serialhub:problem:reload-failed", "title": "The config was not applied", "status": 422,
		"detail": "/etc/links.yaml:5:3: links[0].c: unknown key\n    5 |   c: 1\n      |   ^\n/etc/links.yaml: another",
		"faults": [{"key": "links[0].c", "line": 5, "column": 3, "message": "unknown key", "source": "  c: 1"}, {"message": "another"}]}`)
	_, body = ask("GET", "/status")
	if !strings.Contains(body, `"ok": false`) || !strings.Contains(body, "unknown key") {
		t.Errorf("the status is %s", body)
	}

	h.reload.Err = errors.New("open links.yaml: no such file")
	response, body = ask("POST", "/reload")
	if response.StatusCode != 422 || !strings.Contains(body, `"message": "open links.yaml: no such file"`) {
		t.Errorf("%s %s", response.Status, body)
	}
	h.reload.Err = reload.ErrStopping
	if response, _ = ask("POST", "/reload"); response.StatusCode != 503 {
		t.Error(response.Status)
	}
}

func TestHealth(t *testing.T) {
	h := newHub()
	ask := serve(t, h)
	for _, path := range []string{"/healthz", "/readyz"} {
		if response, _ := ask("GET", path); response.StatusCode != 200 {
			t.Errorf("%s: %s", path, response.Status)
		}
	}
	h.closed = []string{"dbg", "other"}
	if response, body := ask("GET", "/readyz"); response.StatusCode != 503 || !strings.Contains(body, "dbg, other") {
		t.Errorf("%s: %s", response.Status, body)
	}
	if !strings.Contains(strings.Join(strings.Fields(func() string { _, body := ask("GET", "/readyz"); return body }()), ""), `"links":["dbg","other"]`) {
		t.Error("the names are not a list")
	}
	if response, _ := ask("GET", "/healthz"); response.StatusCode != 200 {
		t.Errorf("/healthz of a hub that is not ready: %s", response.Status)
	}
}

func TestProblems(t *testing.T) {
	broken, stopping := newHub(), newHub()
	broken.fail, stopping.fail = errors.New("secret"), supervisor.ErrStopping
	tests := []struct {
		name, method, path string
		hub                *hub
		headers            []string
		status             int
		says               string
	}{
		{"no such link", "GET", "/links/dgb", newHub(), nil, 404, "there is no such link: dgb"},
		{"a reset of no link", "POST", "/links/dgb/reset", newHub(), nil, 404, "there is no such link: dgb"},
		{"no such end", "POST", "/links/dbg/reset?end=c", newHub(), nil, 400, "no end \\\"c\\\""},
		{"an empty end", "POST", "/links/dbg/reset?end=", newHub(), nil, 400, "no end"},
		{"a mistyped parameter", "POST", "/links/dbg/reset?edn=a", newHub(), nil, 400, "no parameter \\\"edn\\\""},
		{"a parameter twice", "POST", "/links/dbg/reset?end=a&end=b", newHub(), nil, 400, "is there 2 times"},
		{"a parameter that the call has not", "POST", "/links/dbg/stop?end=a", newHub(), nil, 400, "no parameter"},
		{"no such path", "GET", "/linkz", newHub(), nil, 404, "nothing at /linkz"},
		{"the wrong method", "DELETE", "/links/dbg", newHub(), nil, 405, "GET"},
		{"a hub that is stopping", "GET", "/links/dbg", stopping, nil, 503, "stopping"},
		{"an error from inside", "GET", "/links/dbg", broken, nil, 500, "its log says why"},
		{"an error from inside before there are events", "GET", "/events?link=dbg", broken, nil, 500, "its log says why"},
		{"a foreign host", "GET", "/links", newHub(), []string{"Host", "evil.example"}, 403, "evil.example"},
		{"a foreign host with a port", "GET", "/links", newHub(), []string{"Host", "evil.example:7373"}, 403, "not a name of this hub"},
		{"another loopback address", "GET", "/links", newHub(), []string{"Host", "127.0.0.2"}, 403, "not a name of this hub"},
		{"another site", "GET", "/links/dbg/reset", newHub(), []string{"Sec-Fetch-Site", "cross-site"}, 403, "another site"},
		{"another port of this machine", "POST", "/links/dbg/reset", newHub(), []string{"Sec-Fetch-Site", "same-site"}, 403, "another site"},
		{"another site, old browser", "POST", "/links/dbg/reset", newHub(), []string{"Origin", "http://evil.example"}, 403, "another site"},
		{"a page without an origin", "GET", "/links", newHub(), []string{"Origin", "null"}, 403, "another site"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			response, body := serve(t, test.hub)(test.method, test.path, test.headers...)
			if response.StatusCode != test.status || response.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s, %s; want %d and a problem", response.Status, response.Header.Get("Content-Type"), test.status)
			}
			if !strings.Contains(body, test.says) || strings.Contains(body, "secret") {
				t.Errorf("the answer is %s, want it to say %q", body, test.says)
			}
			if test.status == 405 && response.Header.Get("Allow") == "" {
				t.Error("the answer does not say what is allowed")
			}
			if (test.status == 403 || test.status == 400) && len(test.hub.resets) > 0 {
				t.Error("a refused request reset a link")
			}
		})
	}
}

func TestBodyIsNotTakenForNothing(t *testing.T) {
	for body, want := range map[string]int{"end=a": 400, `{"end":"a"}`: 400, "": 200, "{}\n": 200} {
		h := newHub()
		server := httptest.NewServer(handler(t, api.Parts{Hub: h, Reloader: h, Log: slog.New(slog.DiscardHandler)}))
		response, err := server.Client().Post(server.URL+"/links/dbg/reset", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want || (len(h.resets) == 0) != (want == 400) {
			t.Errorf("a reset with the body %q: %s, reset %v", body, response.Status, h.resets)
		}
		server.Close()
	}
}

// TestMetrics come from who was named for them.
func TestMetrics(t *testing.T) {
	response, body := serve(t, newHub())("GET", "/metrics")
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/plain; version=0.0.4" || body != "links 2\n" {
		t.Errorf("%s %s", response.Status, body)
	}
}

func TestHeadAndTrailingSlash(t *testing.T) {
	h := newHub()
	ask := serve(t, h)
	for _, path := range []string{"/links", "/links/dbg", "/status", "/healthz", "/readyz", "/metrics"} {
		if response, body := ask("HEAD", path); response.StatusCode != 200 || body != "" {
			t.Errorf("HEAD %s: %s %q", path, response.Status, body)
		}
		if response, _ := ask("GET", path+"/"); response.StatusCode != 200 {
			t.Errorf("GET %s/: %s", path, response.Status)
		}
	}
	if response, _ := ask("HEAD", "/links/dbg/reset"); response.StatusCode != 405 || len(h.resets) > 0 {
		t.Errorf("HEAD of a reset: %s", response.Status)
	}
}

func TestKnownHostsAndSitesMayAsk(t *testing.T) {
	ask := serve(t, newHub())
	for _, headers := range [][]string{
		{"Host", "localhost"}, {"Host", "localhost:7373"}, {"Host", "LOCALHOST"}, {"Host", "127.0.0.1"}, {"Host", "127.0.0.1:1"},
		{"Sec-Fetch-Site", "none"}, {"Sec-Fetch-Site", "same-origin"},
	} {
		if response, body := ask("GET", "/links/dbg/reset", headers...); response.StatusCode != 200 {
			t.Errorf("%v: %s %s", headers, response.Status, body)
		}
	}
}
