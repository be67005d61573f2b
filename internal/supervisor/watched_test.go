package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"serialhub/internal/config"
	"serialhub/internal/endpoint"
	"serialhub/internal/events"
	"serialhub/internal/relay"
	"serialhub/internal/testenv"
	"serialhub/internal/watch"
)

// TestWatchersOfARestlessLink has watchers, transcripts and attached peers come and go at a link whose config changes, and that is reset, stopped,
// removed and halted meanwhile: nothing hangs, and nothing is left.
func TestWatchersOfARestlessLink(t *testing.T) {
	files := t.TempDir()
	h := startHub(t, "dbg")
	over := time.Now().Add(3 * time.Second)
	var all sync.WaitGroup
	again := func(do func(r *rand.Rand)) {
		all.Go(func() {
			for r := rand.New(rand.NewPCG(1, 2)); time.Now().Before(over); {
				do(r)
			}
		})
	}
	base := *h.links[0].config
	again(func(r *rand.Rand) { // changes
		next := base
		next.Scrollback = []int{0, 1000, 1 << 20}[r.IntN(3)]
		if r.IntN(2) == 0 {
			next.Transcript = &config.Transcript{
				File: filepath.Join(files, []string{"{link}.log", "{link}-{end}.log"}[r.IntN(2)]), Format: "raw", Direction: "both",
				MaxSize: 8 << 20, Keep: 2,
			}
		}
		if r.IntN(5) == 0 {
			next.Name = "dbg2"
		}
		links := []config.Link{next}
		if r.IntN(6) == 0 {
			links = nil
		}
		if _, err := h.Apply(links); err != nil {
			t.Error(err)
		}
	})
	again(func(r *rand.Rand) { // commands
		ctx := context.Background()
		switch r.IntN(5) {
		case 0:
			h.StopLink(ctx, "dbg")
		case 1:
			h.StartLink(ctx, "dbg")
		case 2:
			h.Halt(func([]Link, events.History) error { return errors.New("not now") })
		default:
			h.Reset(ctx, "dbg")
		}
	})
	for range 3 {
		again(func(r *rand.Rand) { // watchers
			tap, err := h.Tap("dbg", func(tape *watch.Tape) *watch.Reader { return tape.Last(r.IntN(100_000)) })
			if err != nil {
				return
			}
			defer tap.Close()
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.IntN(50))*time.Millisecond)
			defer cancel()
			for err == nil {
				_, err = tap.Next(ctx)
			}
		})
	}
	for side := range relay.Side(2) {
		again(func(r *rand.Rand) { // peers
			conn, err := h.Attach(t.Context(), "dbg", side, endpoint.Credentials{}, r.IntN(2) == 0)
			if err != nil {
				return
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(time.Duration(r.IntN(30)) * time.Millisecond))
			go conn.Write(make([]byte, 200_000))
			io.Copy(io.Discard, conn)
		})
	}
	again(func(r *rand.Rand) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
		defer cancel()
		h.Say(ctx, "dbg", relay.Side(r.IntN(2)), make([]byte, 1+r.IntN(64<<10)), true)
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		all.Wait()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("something hangs")
	}
	if _, err := h.Apply([]config.Link{base}); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, patience, "somebody watches still", func() error {
		w := &h.links[0].watching
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.tape != nil {
			return fmt.Errorf("%d taps", w.taps)
		}
		return nil
	})
	if entries, err := os.ReadDir(files); err != nil || !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == "dbg.log" }) {
		t.Errorf("there is no transcript: %v, %v", entries, err)
	}
}
