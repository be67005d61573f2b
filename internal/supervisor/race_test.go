package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"serialhub/internal/config"
	"serialhub/internal/relay"
)

// These tests bring commands and departures together at moments in which one could be lost for the other.

// fill writes until the wire takes nothing more, and returns how much it has taken.
func fill(t *testing.T, conn *net.UnixConn) (written int) {
	t.Helper()
	for {
		conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := conn.Write(make([]byte, 64<<10))
		written += n
		if errors.Is(err, os.ErrDeadlineExceeded) {
			conn.SetDeadline(time.Now().Add(patience))
			return written
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestLossWithAStuckReaderEndsTheLink(t *testing.T) {
	for _, policy := range []config.Policy{config.Never, config.OnFailure} {
		t.Run(string(policy), func(t *testing.T) {
			h := startLike(t, func(l *config.Link) { l.Restart.Policy = policy })
			a, _ := h.up("dbg")
			fill(t, a)
			a.Close()
			stopped := h.waitState("dbg", LinkStopped)
			if stopped.Failures != 0 || strings.Contains(h.log.String(), "deleted") {
				t.Errorf("the link is %+v", stopped)
			}
		})
	}
}

// TestLossWithASlowReaderDeliversEverything reads slower than drainTime allows in one go.
func TestLossWithASlowReaderDeliversEverything(t *testing.T) {
	h := startLike(t, func(l *config.Link) { l.Restart.Policy = config.Never })
	a, b := h.up("dbg")
	filled := fill(t, a)
	a.Close()
	got := 0
	pause := time.NewTicker(drainTime / 3)
	defer pause.Stop()
	for chunk := make([]byte, filled/6); ; <-pause.C {
		n, err := io.ReadFull(b, chunk)
		got += n
		if err != nil {
			break
		}
	}
	if got != filled {
		t.Errorf("%d of %d bytes arrived", got, filled)
	}
	h.waitState("dbg", LinkStopped)
}

func TestResetOfALinkThatDrains(t *testing.T) {
	h := startLike(t, func(l *config.Link) { l.Restart.Policy = config.Never })
	a, _ := h.up("dbg")
	fill(t, a)
	a.Close()
	h.wait("dbg", "losing its peer", func(l Link) bool { return l.Ends[relay.A].Peer == nil })
	h.do(h.reset, LinkWaiting)
}

// TestCommandsThatMeetTheEnd sends a command in the moment in which a loss ends the link.
func TestCommandsThatMeetTheEnd(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(h *hub) func(context.Context, string) (Link, error)
		want LinkState
	}{
		{"stop", func(h *hub) func(context.Context, string) (Link, error) { return h.StopLink }, LinkStopped},
		{"reset", func(h *hub) func(context.Context, string) (Link, error) { return h.reset }, LinkWaiting},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := startLike(t, func(l *config.Link) { l.Restart.Policy = config.Never })
			for range 200 {
				h.do(h.StartLink, LinkWaiting)
				before, _ := h.Link("dbg")
				h.dial("dbg", relay.A).Close()
				h.wait("dbg", "reached", func(l Link) bool { return l.Ends[relay.A].Connections > before.Ends[relay.A].Connections })
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				if _, err := test.do(h)(ctx, "dbg"); err != nil {
					t.Fatal(err)
				}
				cancel()
				if link, _ := h.Link("dbg"); test.want == LinkStopped && link.State != LinkStopped {
					t.Fatalf("after the %s the link is %s", test.name, link.State)
				}
				if test.want == LinkWaiting {
					h.waitState("dbg", LinkWaiting)
				}
			}
		})
	}
}

// TestStopThatMeetsAPanic is carried out, although the link fails in the same moment.
func TestStopThatMeetsAPanic(t *testing.T) {
	h := startWith(t, func(s *Supervisor) {
		l := s.links[0]
		l.config.Restart.Delay = 10 * time.Millisecond
		l.parts.newWire = func(loop *relay.Loop, id uint64, rules relay.Rules, counters *[2]relay.Counters, hooks relay.Hooks) *relay.Link {
			return relay.NewLink(loop, id, rules, counters, relay.Hooks{Report: func(event relay.Event) {
				hooks.Report(event)
				if event.Kind == relay.Arrived {
					panic("on purpose")
				}
			}})
		}
	}, "dbg")
	for range 50 {
		h.do(h.StartLink, LinkWaiting)
		h.dial("dbg", relay.A).Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		link, err := h.StopLink(ctx, "dbg")
		cancel()
		if err != nil || link.State != LinkStopped {
			t.Fatalf("the stop answers %+v, %v", link, err)
		}
	}
}

// TestBytesAfterAVisitor sends as soon as connect(2) has returned at the other end, right after somebody else was there.
func TestBytesAfterAVisitor(t *testing.T) {
	for _, alone := range []bool{true, false} {
		t.Run(fmt.Sprint("the visitor is alone: ", alone), func(t *testing.T) {
			h := startHub(t, "dbg")
			h.waitState("dbg", LinkWaiting)
			a := h.dial("dbg", relay.A)
			h.waitState("dbg", LinkHalf)
			for i := range 200 {
				visitor := h.dial("dbg", relay.B)
				if !alone {
					h.dial("dbg", relay.B).Close() // is turned away
				}
				visitor.Close()
				b := h.dial("dbg", relay.B)
				carry(t, a, b, string(rune('a'+i%26)))
				if t.Failed() {
					t.Fatalf("in round %d", i)
				}
				b.Close()
			}
		})
	}
}

// TestCloseOfALaterSession gives a reader its time, although an earlier session ended shortly before.
func TestCloseOfALaterSession(t *testing.T) {
	h := startLike(t, func(l *config.Link) { l.OnDisconnect = config.OnDisconnectClose })
	a, b := h.up("dbg")
	a.Close()
	readAll(t, b, "")
	h.waitState("dbg", LinkWaiting)
	a, b = h.up("dbg")
	filled := fill(t, a)
	a.Close()
	<-time.After(drainTime - time.Second) // the earlier session's time is over, this one's is not
	if got, err := io.ReadAll(b); err != nil || len(got) != filled {
		t.Errorf("%d of %d bytes arrived, %v", len(got), filled, err)
	}
}

func TestResetOfAStoppedLinkOpensItOnce(t *testing.T) {
	h := startLike(t, func(l *config.Link) { l.Restart.Delay, l.Restart.MaxDelay = 10*time.Second, 10*time.Second })
	h.waitState("dbg", LinkWaiting)
	h.do(h.StopLink, LinkStopped)
	path := h.path("dbg", relay.A)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(path)
	if link := h.do(h.reset, LinkRetrying); link.Failures != 1 || link.Resets != 1 {
		t.Errorf("the link is %+v", link)
	}
}

// TestBytesAtTheStart sends as soon as connect(2) has returned at both ends, while the hub is still opening its links.
func TestBytesAtTheStart(t *testing.T) {
	var names []string
	for i := range 200 {
		names = append(names, fmt.Sprint("l", i))
	}
	h := startHub(t, names...)
	var wait sync.WaitGroup
	for _, name := range names {
		wait.Go(func() {
			a, b := h.dialEarly(name, relay.A), h.dialEarly(name, relay.B)
			carry(t, a, b, "hello")
			carry(t, b, a, "hello")
		})
	}
	wait.Wait()
}

// dialEarly connects to an end as soon as that is possible.
func (h *hub) dialEarly(name string, side relay.Side) net.Conn {
	tick := time.NewTicker(50 * time.Microsecond)
	defer tick.Stop()
	for {
		conn, err := net.Dial("unix", h.path(name, side))
		if err == nil {
			h.t.Cleanup(func() { conn.Close() })
			conn.SetDeadline(time.Now().Add(patience))
			return conn
		}
		<-tick.C
	}
}
