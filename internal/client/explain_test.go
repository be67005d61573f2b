package client_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"serialhub/internal/client"
	"serialhub/internal/client/clienttest"
	"serialhub/internal/rest"
)

// refuse answers with a problem of a type.
func refuse(kind rest.ProblemType, status int, detail string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(rest.Problem{Type: kind, Status: status, Detail: detail})
	}
}

// TestNoSuchLink names those that may have been meant, whatever the call is.
func TestNoSuchLink(t *testing.T) {
	listed := `{"links": [{"name": "dbg"}, {"name": "console1"}, {"name": "console2"}]}`
	none := refuse(rest.ProblemNoSuchLink, http.StatusNotFound, "there is none; the links are listed at /links")
	for _, row := range []struct{ name, list, want string }{
		{"dgb", listed, `there is no link "dgb"; did you mean dbg?`},
		{"Console", listed, `there is no link "Console"; did you mean console1 or console2?`},
		{"a/b", listed, "there is no link \"a/b\"; there are 3, and `serialhub status` lists them"},
		{"\x1b[2J", listed, "there is no link \"\\x1b[2J\"; there are 3, and `serialhub status` lists them"},
		{"dbg", `{"links": []}`, `there is no link "dbg"; the hub has none`},
		{"dbg", `{"links": [{"name": "other"}]}`, `there is no link "dbg"; the only one is other`},
		{"dbg", `{}`, "there is none; the links are listed at /links"},
	} {
		hub := clienttest.Start(t, "", clienttest.Routes{"/links/": none, "/events": none, "GET /links": clienttest.Answer(row.list)})
		c := newClient(t, "", hub.Address)
		calls := map[string]func() error{
			"link":   func() error { _, err := c.Link(t.Context(), row.name); return err },
			"reset":  func() error { _, err := c.Reset(t.Context(), row.name, "a"); return err },
			"send":   func() error { return c.Send(t.Context(), row.name, "a", false, []byte("x")) },
			"tap":    func() error { _, err := c.Tap(t.Context(), row.name, client.TapOptions{Format: "raw"}); return err },
			"events": func() error { _, err := c.Events(t.Context(), row.name, ""); return err },
			"attach": func() error { _, err := c.Attach(t.Context(), row.name, "a", false); return err },
		}
		for name, call := range calls {
			if err := call(); err == nil || err.Error() != row.want {
				t.Errorf("%s %q: %v, want %s", name, row.name, err, row.want)
			}
		}
	}
}

// TestNoToken says which role one has to have, by the API's document.
func TestNoToken(t *testing.T) {
	for role, calls := range map[string][]func(context.Context, *client.Client) error{
		"read": {
			func(ctx context.Context, c *client.Client) error { _, err := c.Links(ctx); return err },
			func(ctx context.Context, c *client.Client) error { _, err := c.Link(ctx, "a/b"); return err },
			func(ctx context.Context, c *client.Client) error {
				_, err := c.Tap(ctx, "dbg", client.TapOptions{Format: "raw"})
				return err
			},
			func(ctx context.Context, c *client.Client) error { _, err := c.Events(ctx, "dbg", ""); return err },
		},
		"admin": {
			func(ctx context.Context, c *client.Client) error { _, err := c.Stop(ctx, "dbg"); return err },
			func(ctx context.Context, c *client.Client) error { _, err := c.Reload(ctx); return err },
			func(ctx context.Context, c *client.Client) error {
				_, err := c.Attach(ctx, "dbg", "a", false)
				return err
			},
		},
	} {
		hub := clienttest.Start(t, "", clienttest.Routes{"/": refuse(rest.ProblemUnauthorized, http.StatusUnauthorized, "no")})
		c := newClient(t, "", hub.Address)
		for i, call := range calls {
			if err := call(t.Context(), c); err == nil || !strings.Contains(err.Error(), "a token with the role "+role+": give it by --token-file") {
				t.Errorf("%s, call %d: %v", role, i, err)
			}
		}
	}
}

// TestForbidden says no more than the hub does, to who would not be let in by another token either.
func TestForbidden(t *testing.T) {
	hub := clienttest.Start(t, "", clienttest.Routes{"/": refuse(rest.ProblemForbidden, http.StatusForbidden, "uid 1000 may not call this hub")})
	if _, err := newClient(t, "a-token", hub.Address).Links(t.Context()); err == nil || err.Error() != "uid 1000 may not call this hub" {
		t.Error(err)
	}
}
