package supervisor

import (
	"context"
	"net"
	"os"
	"testing"
	"time"

	"serialhub/internal/config"
	"serialhub/internal/relay"
)

// TestTransitions walks a link along every arrow of the diagram in docs/links.md.
func TestTransitions(t *testing.T) {
	h := startLike(t, func(l *config.Link) {
		l.Restart = config.Restart{Policy: config.OnFailure, Delay: 10 * time.Millisecond, MaxDelay: 50 * time.Millisecond, MaxFailures: 5}
	})
	var a, b *net.UnixConn
	path := h.path("dbg", relay.B)
	block := func() {
		os.Remove(path)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(do func(context.Context, string) (Link, error)) {
		if _, err := do(context.Background(), "dbg"); err != nil {
			t.Fatal(err)
		}
	}
	steps := []struct {
		what string
		do   func()
		to   LinkState
	}{
		{"it opens", func() {}, LinkWaiting},
		{"a connects", func() { a = h.dial("dbg", relay.A) }, LinkHalf},
		{"b connects", func() { b = h.dial("dbg", relay.B) }, LinkUp},
		{"b is reset", func() { h.Reset(context.Background(), "dbg", relay.B) }, LinkHalf},
		{"both are reset", func() { ask(h.reset) }, LinkWaiting},
		{"a connects", func() { a = h.dial("dbg", relay.A) }, LinkHalf},
		{"b connects", func() { b = h.dial("dbg", relay.B) }, LinkUp},
		{"b closes cleanly", func() { b.Close() }, LinkStopped},
		{"it is started", func() { ask(h.StartLink) }, LinkWaiting},
		{"b's socket is replaced", block, LinkRetrying},
		{"it fails too often", func() {}, LinkFailed},
		{"it is stopped", func() { ask(h.StopLink) }, LinkStopped},
		{"it is started in vain", func() { ask(h.StartLink) }, LinkRetrying},
		{"the way is free in time", func() { os.Remove(path) }, LinkWaiting},
		{"b's socket is replaced again", block, LinkRetrying},
		{"it fails too often", func() {}, LinkFailed},
		{"it is reset", func() { os.Remove(path); ask(h.reset) }, LinkWaiting},
		{"a connects", func() { a = h.dial("dbg", relay.A) }, LinkHalf},
		{"it is stopped", func() { ask(h.StopLink) }, LinkStopped},
	}
	var since time.Time
	for i, step := range steps {
		step.do()
		got := h.waitState("dbg", step.to)
		if !got.Since.After(since) {
			t.Errorf("step %d (%s): the link is %s since %s, which is not after %s", i, step.what, got.State, got.Since, since)
		}
		since = got.Since
	}
	a.Close()
}
