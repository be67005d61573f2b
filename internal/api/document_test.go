package api_test

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/labstack/echo/v4"
	"go.uber.org/goleak"

	openapi "serialhub/api"
	"serialhub/internal/api"
	"serialhub/internal/config"
	"serialhub/internal/relay"
	"serialhub/internal/reload"
	"serialhub/internal/rest/resttest"
	"serialhub/internal/supervisor"
)

// document is what all answers of this package's tests are judged by.
var document = sync.OnceValues(resttest.Load)

func TestMain(m *testing.M) { goleak.VerifyTestMain(&suite{m}) }

// suite fails if something is in the document that no test has seen; but not if only some of the tests have run.
type suite struct{ *testing.M }

func (s *suite) Run() int {
	code := s.M.Run()
	for _, choice := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		if flag.Lookup(choice).Value.String() != "" {
			return code
		}
	}
	d, err := document()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	unseen := slices.DeleteFunc(d.Unseen(), isOfTheRouter)
	if len(unseen) > 0 {
		fmt.Fprintf(os.Stderr, "FAIL: no test has seen what the document has:\n\t%s\n", strings.Join(unseen, "\n\t"))
		return 1
	}
	return code
}

// isOfTheRouter tells whether a problem is one that only the router could find. It finds none today.
func isOfTheRouter(what string) bool { return strings.Contains(what, "bad-request") }

// handler makes the API's handler, each of whose answers has to be as the document says.
func handler(t *testing.T, parts api.Parts) http.Handler {
	t.Helper()
	d, err := document()
	if err != nil {
		t.Fatal(err)
	}
	return d.Around(api.Handler(parts), func(err error) { t.Errorf("the document: %v", err) })
}

// TestRoutes compares what is served with what is documented.
func TestRoutes(t *testing.T) {
	router, ok := api.Handler(api.Parts{Log: slog.New(slog.DiscardHandler)}).(*echo.Echo)
	if !ok {
		t.Fatal("the routes cannot be listed")
	}
	var served, documented []string
	for _, route := range router.Routes() {
		served = append(served, route.Method+" "+strings.ReplaceAll(route.Path, ":name", "{name}"))
	}
	for _, call := range resttest.MustLoad(t).Calls {
		documented = append(documented, call.Method+" "+call.Path)
	}
	slices.Sort(served)
	slices.Sort(documented)
	if !slices.Equal(served, documented) {
		t.Errorf("served:\n%s\ndocumented:\n%s", strings.Join(served, "\n"), strings.Join(documented, "\n"))
	}
}

func TestDocumentIsServed(t *testing.T) {
	response, body := serve(t, newHub())("GET", "/openapi.yaml")
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != "application/yaml" || body != string(openapi.Document()) {
		t.Errorf("%s, %s, %d bytes", response.Status, response.Header.Get("Content-Type"), len(body))
	}
}

// TestEveryCall makes each call in all the ways that end alike for all of them.
func TestEveryCall(t *testing.T) {
	panics, stopping := &hub{broken: true}, newHub()
	stopping.fail, stopping.reload.Err = supervisor.ErrStopping, reload.ErrStopping
	notReady := newHub()
	notReady.closed = []string{"dbg"}
	faulty := newHub()
	faulty.reload.Err = &config.Faults{File: "links.yaml", List: []config.Fault{{Message: "unknown key"}}}
	ways := []struct {
		status  string
		hub     *hub
		change  func(target string) string
		headers []string
	}{
		{status: "200", hub: newHub()},
		{status: "400", hub: newHub(), change: func(target string) string { return with(target, "edn=a") }},
		{status: "403", hub: newHub(), headers: []string{"Sec-Fetch-Site", "cross-site"}},
		{status: "404", hub: newHub(), change: func(target string) string { return strings.Replace(target, "/dbg", "/dgb", 1) }},
		{status: "422", hub: faulty},
		{status: "426", hub: newHub()},
		{status: "500", hub: panics},
		{status: "503", hub: stopping},
		{status: "503", hub: notReady},
	}
	for _, call := range resttest.MustLoad(t).Calls {
		for _, way := range ways {
			if !slices.Contains(call.Statuses(), way.status) || isStream(call) && way.status == "200" || ofALinkAlone(call, way.status) {
				continue // it has tests of its own, where it ends
			}
			t.Run(call.ID+" "+way.status, func(t *testing.T) {
				target, headers := call.Example(), way.headers
				if way.change != nil {
					target = way.change(target)
				}
				if call.ID == "attachToLink" && way.status != "426" {
					headers = append(headers, handshake()...)
				}
				response, body := serveBody(t, way.hub)(call.Method, target, bodyFor(call), headers...)
				if got := fmt.Sprint(response.StatusCode); got != way.status {
					// Of the two ways to a 503, each call has one.
					if way.status != "503" {
						t.Errorf("%s %s: %s %s", call.Method, target, response.Status, body)
					}
				}
			})
		}
	}
}

func isStream(call *resttest.Call) bool { return call.ID == "tapLink" || call.ID == "streamEvents" }

// ofALinkAlone tells whether a call ends so only if it is for a link, and goes on else.
func ofALinkAlone(call *resttest.Call, status string) bool {
	return call.ID == "streamEvents" && slices.Contains([]string{"404", "500", "503"}, status)
}

// handshake are the headers with which a WebSocket is asked for.
func handshake() []string {
	return []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}
}

func with(target, parameter string) string {
	if strings.Contains(target, "?") {
		return target + "&" + parameter
	}
	return target + "?" + parameter
}

func bodyFor(call *resttest.Call) io.Reader {
	if call.Body == nil {
		return nil
	}
	return strings.NewReader("root\r")
}

// TestOtherProblems are those of single calls.
func TestOtherProblems(t *testing.T) {
	tests := []struct {
		name, method, path, body string
		say, attach              error
		status                   int
		kind                     string
	}{
		{name: "nothing to say", method: "POST", path: "/links/dbg/send?to=a", status: 400, kind: "bad-body"},
		{name: "too much to say", method: "POST", path: "/links/dbg/send?to=a", body: strings.Repeat("x", 65537), status: 413, kind: "body-too-large"},
		{name: "as much as can be said", method: "POST", path: "/links/dbg/send?to=a", body: strings.Repeat("x", 65536), status: 200},
		{name: "nobody listens", method: "POST", path: "/links/dbg/send?to=a", body: "x", say: relay.ErrNobody, status: 409, kind: "not-sent"},
		{name: "somebody else speaks", method: "POST", path: "/links/dbg/send?to=a", body: "x", say: relay.ErrTaken, status: 409, kind: "other-peer"},
		{name: "an end with a peer", method: "GET", path: "/links/dbg/attach?end=a", attach: supervisor.ErrBusy, status: 409, kind: "end-busy"},
		{name: "a serial port", method: "GET", path: "/links/dbg/attach?end=a", attach: supervisor.ErrDevice, status: 409, kind: "not-attachable"},
		{name: "no scrollback", method: "GET", path: "/links/other/tap?follow=false", status: 409, kind: "no-scrollback"},
		{name: "no break", method: "POST", path: "/links/dbg/break?end=b", status: 409, kind: "no-break"},
		{name: "a name that is not written plainly", method: "GET", path: "/links/%64bg", status: 200},
		{name: "a name with a slash", method: "GET", path: "/links/db%2Fg", status: 404, kind: "no-such-link"},
		{name: "a position that is none", method: "GET", path: "/links/dbg/tap?from=1,2x", status: 400, kind: "bad-parameter"},
		{name: "an empty format", method: "GET", path: "/links/dbg/tap?format=", status: 400, kind: "bad-parameter"},
		{name: "a flag that is none", method: "GET", path: "/links/dbg/tap?follow=maybe", status: 400, kind: "bad-parameter"},
		{name: "an amount that is none", method: "GET", path: "/links/dbg/tap?n=many", status: 400, kind: "bad-parameter"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHub()
			h.say, h.attach = test.say, test.attach
			var headers []string
			if strings.Contains(test.path, "/attach") {
				headers = handshake()
			}
			var body io.Reader
			if test.body != "" {
				body = strings.NewReader(test.body)
			}
			response, answer := serveBody(t, h)(test.method, test.path, body, headers...)
			if response.StatusCode != test.status || test.kind != "" && !strings.Contains(answer, `"urn:serialhub:problem:`+test.kind+`"`) {
				t.Errorf("%s %s", response.Status, answer)
			}
		})
	}
}
