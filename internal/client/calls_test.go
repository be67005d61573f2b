package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"serialhub/internal/client"
	"serialhub/internal/client/clienttest"
	"serialhub/internal/rest"
)

// TestCalls makes each call that has a plain answer, and looks at what is asked for.
func TestCalls(t *testing.T) {
	asked := make(chan string, 1)
	answer := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			asked <- r.Method + " " + r.URL.RequestURI()
			clienttest.Answer(text)(w, r)
		}
	}
	hub := clienttest.Start(t, "", clienttest.Routes{
		"/links":         answer(`{"links": [` + upLink + `]}`),
		"/links/{name}":  answer(upLink),
		"/links/{name}/": answer(upLink),
		"/reload":        answer(`{"added": ["x"], "removed": [], "changed": [], "unchanged": []}`),
		"/status":        answer(`{"version": "1.2.3", "pid": 7, "links": {"up": 1}}`),
	})
	c := newClient(t, "", hub.Address)
	ctx := t.Context()
	for want, call := range map[string]func() (any, error){
		"GET /links: dbg":                    func() (any, error) { links, err := c.Links(ctx); return links[0].Name, err },
		"GET /links/dbg: up":                 func() (any, error) { link, err := c.Link(ctx, "dbg"); return link.State, err },
		"GET /links/a%20b%2F%3F: up":         func() (any, error) { link, err := c.Link(ctx, "a b/?"); return link.State, err },
		"POST /links/dbg/reset: up":          func() (any, error) { link, err := c.Reset(ctx, "dbg", ""); return link.State, err },
		"POST /links/dbg/reset?end=b: up":    func() (any, error) { link, err := c.Reset(ctx, "dbg", "b"); return link.State, err },
		"POST /links/dbg/stop: up":           func() (any, error) { link, err := c.Stop(ctx, "dbg"); return link.State, err },
		"POST /links/dbg/start: up":          func() (any, error) { link, err := c.Start(ctx, "dbg"); return link.State, err },
		"POST /links/dbg/break?end=a: <nil>": func() (any, error) { return nil, c.Break(ctx, "dbg", "a") },
		"POST /reload: [x]":                  func() (any, error) { changes, err := c.Reload(ctx); return changes.Added, err },
		"GET /status: 1.2.3, map[up:1]":      func() (any, error) { s, err := c.Status(ctx); return fmt.Sprint(s.Version, ", ", s.Links), err },
		"GET /links/dbg: pid 7, win7": func() (any, error) {
			link, err := c.Link(ctx, "dbg")
			p := link.Ends["a"].Peer
			return fmt.Sprintf("pid %d, %s", *p.PID, p.VM), err
		},
		"GET /links/dbg: connected, nobody": func() (any, error) {
			link, err := c.Link(ctx, "dbg")
			return fmt.Sprint(link.Ends["a"].State, ", ", client.PeerName(link.Ends["b"].Peer)), err
		},
		"GET /links/dbg: true, false": func() (any, error) {
			link, err := c.Link(ctx, "dbg")
			return fmt.Sprint(client.HasPeer(link.Ends["a"]), ", ", client.HasPeer(link.Ends["b"])), err
		},
	} {
		result, err := call()
		if got := fmt.Sprintf("%s: %v", <-asked, result); err != nil || got != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
}

// TestProblemIsWhole has all that the hub says of a problem.
func TestProblemIsWhole(t *testing.T) {
	hub := clienttest.Start(t, "", clienttest.Routes{"POST /reload": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		fmt.Fprint(w, `{"type": "urn:serialhub:problem:reload-failed", "title": "t", "status": 422, "detail": "d",
			"faults": [{"key": "links[0].c", "line": 5, "column": 3, "message": "unknown key", "source": "  c: 1"}], "links": ["x"]}`)
	}})
	_, err := newClient(t, "", hub.Address).Reload(t.Context())
	var problem *client.Problem
	if !errors.As(err, &problem) {
		t.Fatalf("%v", err)
	}
	fault := rest.Fault{Key: "links[0].c", Line: 5, Column: 3, Message: "unknown key", Source: "  c: 1"}
	if problem.Type != rest.ProblemReloadFailed || problem.Status != 422 || problem.Error() != "d" || len(problem.Faults) != 1 || problem.Faults[0] != fault || fmt.Sprint(problem.Links) != "[x]" {
		t.Errorf("%+v", problem)
	}
}

// TestStrangers answer with JSON, too.
func TestStrangers(t *testing.T) {
	hub := clienttest.Start(t, "", clienttest.Routes{"/": clienttest.Answer(`{"hello": "world"}`)})
	c := newClient(t, "", hub.Address)
	for name, call := range map[string]func() error{
		"links":  func() error { _, err := c.Links(t.Context()); return err },
		"link":   func() error { _, err := c.Link(t.Context(), "dbg"); return err },
		"reset":  func() error { _, err := c.Reset(t.Context(), "dbg", ""); return err },
		"reload": func() error { _, err := c.Reload(t.Context()); return err },
		"status": func() error { _, err := c.Status(t.Context()); return err },
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), "is not a hub, or one of another version") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestManyLinks(t *testing.T) {
	const many = 10_000
	var links rest.Links
	pid := 4711
	for i := range many {
		end := rest.End{Address: "unix:/run/serialhub/" + strings.Repeat("x", 80), State: rest.EndConnected, Queued: []rest.Peer{}, Since: time.Now(), Peer: &rest.Peer{PID: &pid, UID: &pid, GID: &pid, Command: "qemu-system-x86_64"}}
		links.Links = append(links.Links, rest.Link{Name: fmt.Sprint("link", i), State: rest.LinkUp, Ends: map[string]rest.End{"a": end, "b": end}})
	}
	text, err := json.MarshalIndent(links, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	hub := clienttest.Start(t, "", clienttest.Routes{"GET /links": clienttest.Answer(string(text))})
	got, err := newClient(t, "", hub.Address).Links(t.Context())
	if err != nil || len(got) != many || got[many-1].Name != fmt.Sprint("link", many-1) {
		t.Errorf("%d links of %d bytes: %v", len(got), len(text), err)
	}
}
