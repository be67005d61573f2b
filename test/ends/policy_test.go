package ends

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"serialhub/internal/relay"
	"serialhub/internal/supervisor"
)

// patientKeys has what failed be tried again so late that a test would see it.
const patientKeys = "restart: {delay: 30s, max_delay: 30s}"

func TestAbsentDiscard(t *testing.T) {
	over(t, orderedPairs(), func(t *testing.T, p pair) {
		h := startHub(t, p, eager)
		a := h.arrive(relay.A)
		a.SetDeadline(time.Now().Add(patience))
		const n = 100_000
		if err := say(a, newStream(1), n); err != nil {
			t.Fatalf("a has to wait for nobody: %v; %s", err, describe(h.link()))
		}
		h.wait("has dropped everything", func(l supervisor.Link) bool { return l.Ends[relay.A].Discarded == n })
		b := h.arrive(relay.B)
		h.waitState(supervisor.LinkUp)
		carry(t, "to the first who hears", a, b, "the first words")
	})
}

func TestAbsentBuffer(t *testing.T) {
	over(t, orderedPairs(), func(t *testing.T, p pair) {
		h := startHub(t, p, eager, "absent: buffer", "buffer_size: 10000")
		a := h.arrive(relay.A)
		a.SetDeadline(time.Now().Add(patience))
		const n, kept = 50_000, 10_000
		if err := say(a, newStream(1), n); err != nil {
			t.Fatalf("a has to wait for nobody: %v; %s", err, describe(h.link()))
		}
		h.wait("has read everything", func(l supervisor.Link) bool { return l.Ends[relay.A].Received == n })
		b := h.arrive(relay.B)
		b.SetDeadline(time.Now().Add(patience))
		words := newStream(1)
		words.next(make([]byte, n-kept))
		if err := hear(b, words, kept); err != nil {
			t.Fatalf("b, of the newest %d bytes: %v", kept, err)
		}
		if l := h.link(); l.Ends[relay.A].Discarded != n-kept {
			t.Errorf("%d bytes should be dropped: %s", n-kept, describe(l))
		}
		carry(t, "after what was kept", a, b, "live")
	})
}

func TestRestartNever(t *testing.T) {
	over(t, orderedPairs(), func(t *testing.T, p pair) {
		h := newHub(t, p)
		h.await() // a failure would end the link as well
		h.start("restart: never")
		h.waitOpen()
		a, b := h.up()
		carry(t, "before the loss", a, b, "soon I am gone")
		a.Close()
		h.waitState(supervisor.LinkStopped)
		waitClosed(t, "b's peer", b)
	})
}

func TestOnDisconnectClose(t *testing.T) {
	over(t, orderedPairs(), func(t *testing.T, p pair) {
		h := startHub(t, p, eager, "on_disconnect: close")
		a, b := h.up()
		const n = 5000
		if err := say(a, newStream(1), n); err != nil {
			t.Fatal(err)
		}
		h.wait("has passed on a's words", func(l supervisor.Link) bool { return l.Ends[relay.B].Sent == n })
		b.SetDeadline(time.Now().Add(patience))
		if err := hear(b, newStream(1), n); err != nil {
			t.Fatalf("b: %v", err)
		}
		h.leave(a)
		if p.b.stays {
			h.waitConnected(relay.B, 2)
		} else {
			waitClosed(t, "b's peer", b)
			b.Close()
			h.wait("has nobody at b", func(l supervisor.Link) bool { return l.Ends[relay.B].Peer == nil || l.Ends[relay.B].Connections > 1 })
			b = h.arrive(relay.B)
		}
		a = h.arrive(relay.A)
		h.waitState(supervisor.LinkUp)
		carry(t, "from the next a to the next b", a, b, "new friends")
		carry(t, "from the next b to the next a", b, a, "good friends")
	})
}

// A reset lets go of both peers, and opens at once what the hub comes to, however long it would wait after a failure.
func TestReset(t *testing.T) {
	over(t, orderedPairs(), func(t *testing.T, p pair) {
		h := newHub(t, p)
		h.await()
		h.start(patientKeys)
		h.waitOpen()
		a, b := h.up()
		carry(t, "before the reset", a, b, "one")
		for round := uint64(2); round < 5; round++ {
			if _, err := h.Reset(t.Context(), linkName); err != nil {
				t.Fatal(err)
			}
			a, b = h.again(relay.A, a), h.again(relay.B, b)
			h.waitConnected(relay.A, round)
			h.waitConnected(relay.B, round)
			h.waitState(supervisor.LinkUp)
			carry(t, "after the reset, from a to b", a, b, "two")
			carry(t, "after the reset, from b to a", b, a, "three")
		}
	})
}

func TestStopAndStart(t *testing.T) {
	over(t, orderedPairs(), func(t *testing.T, p pair) {
		h := startHub(t, p, eager)
		a, b := h.up()
		carry(t, "before the stop", a, b, "one")
		if l, err := h.StopLink(t.Context(), linkName); err != nil || l.State != supervisor.LinkStopped {
			t.Fatalf("%v, %s", err, describe(l))
		}
		waitClosed(t, "a's peer", a)
		waitClosed(t, "b's peer", b)
		for _, s := range h.sites {
			if err := s.closed(); err != nil {
				t.Errorf("the link is stopped: %v", err)
			}
		}
		if l := h.link(); l.Ends[relay.A].Connections != 1 || l.Ends[relay.B].Connections != 1 {
			t.Errorf("the link is stopped, and has let somebody in: %s", describe(l))
		}
		a.Close()
		b.Close()
		if _, err := h.StartLink(t.Context(), linkName); err != nil {
			t.Fatal(err)
		}
		h.waitOpen()
		a, b = h.up()
		carry(t, "after the start, from a to b", a, b, "two")
		carry(t, "after the start, from b to a", b, a, "three")
	})
}

// A reload that changes nothing of an end leaves its peer alone; one that gives the other end another address does, too.
func TestReload(t *testing.T) {
	over(t, orderedPairs(), func(t *testing.T, p pair) {
		h := startHub(t, p, eager)
		a, b := h.up()
		if changes, err := h.Apply(h.links(eager)); err != nil || len(changes.Unchanged) != 1 {
			t.Errorf("the same file again: %+v, %v", changes, err)
		}
		carry(t, "after a reload that changes nothing", a, b, "one")
		if changes, err := h.Apply(h.links(eager, "absent: hold")); err != nil || len(changes.Changed) != 1 {
			t.Errorf("absent is another: %+v, %v", changes, err)
		}
		carry(t, "after a reload of a rule", b, a, "two")

		// a's end becomes one of b's kind.
		h.sites[relay.A] = p.b.make(t, h.dir, "c")
		h.pair.a = p.b
		if changes, err := h.Apply(h.links(eager)); err != nil || len(changes.Changed) != 1 {
			t.Errorf("a has another address: %+v, %v", changes, err)
		}
		waitClosed(t, "the peer at a's old address", a)
		a.Close()
		h.waitState(h.empty(relay.A))
		a = h.arrive(relay.A)
		h.waitState(supervisor.LinkUp)
		carry(t, "from a's new address to b", a, b, "three")
		carry(t, "from b to a's new address", b, a, "four")
		if l := h.link(); l.Ends[relay.B].Connections != 1 || l.Ends[relay.A].Connections != 2 {
			t.Errorf("b's peer should have stayed: %s", describe(l))
		}
	})
}

// soon is how long it may take until the hub is where somebody has appeared.
const soon = 2 * time.Second

// An end that the hub comes to says why nobody is there, and comes up soon after somebody is. Files are noticed, however long the delay is.
func TestServerAppears(t *testing.T) {
	over(t, pairsWith(fetched), func(t *testing.T, p pair) {
		keys := "restart: {delay: 100ms, max_delay: 500ms}"
		if p.a.file {
			keys = patientKeys
		}
		h := startHub(t, p, keys)
		b := h.arrive(relay.B)
		l := h.waitState(supervisor.LinkRetrying)
		where := h.links(keys)[0].A.Address.String()
		if l.Last == nil || l.Last.End != "a" || !strings.Contains(l.Last.Message, where) {
			t.Errorf("the last error should be one of end a and name %s: %+v", where, l.Last)
		}
		for range 2 { // it may come, and come back
			start := time.Now()
			a := h.arrive(relay.A)
			if took := time.Since(start); took > soon {
				t.Errorf("the hub has come after %v only; want at most %v", took, soon)
			}
			h.waitState(supervisor.LinkUp)
			carry(t, "from a server that has appeared", a, b, "here")
			carry(t, "to a server that has appeared", b, a, "there")
			h.leave(a)
			h.waitState(supervisor.LinkRetrying)
		}
	})
}

// The folder of a socket may come later than the hub, too.
func TestFolderAppears(t *testing.T) {
	noDescriptorsLeft(t)
	nested := unixConnect()
	plain := nested.make
	nested.make = func(t *testing.T, dir, name string) site { return plain(t, filepath.Join(dir, "run", "vm"), name) }
	h := startHub(t, pair{nested, unixListen()}, patientKeys)
	h.waitState(supervisor.LinkRetrying)
	if err := os.MkdirAll(filepath.Join(h.dir, "run", "vm"), 0o700); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	a, b := h.up()
	if took := time.Since(start); took > soon {
		t.Errorf("the hub has come after %v only; want at most %v", took, soon)
	}
	carry(t, "from a server in a folder that has appeared", a, b, "here")
}

// again lets the hub have the next peer of an end, after it has let go of one.
func (h *hub) again(side relay.Side, old peer) peer {
	h.t.Helper()
	p := h.sites[side].again(h.t, old)
	h.t.Cleanup(func() { p.Close() })
	return p
}
