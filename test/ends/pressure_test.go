package ends

import (
	"bytes"
	"io"
	"testing"
	"time"

	"serialhub/internal/relay"
	"serialhub/internal/supervisor"
)

const (
	// takenAtMost is what may be taken from a peer while the other one does not read: it is in the kernel's buffers, of which those of TCP grow
	// to some MiB each, and where net.ipv4.tcp_rmem lets them, to 32 MiB.
	takenAtMost = 128 << 20
	// heldAtMost is what of that the hub itself may hold: a pipe.
	heldAtMost = 2 << 20
)

// A peer that does not read holds back the one that talks to it, and loses nothing of what that has said.
func TestBackpressure(t *testing.T) {
	over(t, orderedPairs(), func(t *testing.T, p pair) {
		h := startHub(t, p, eager)
		a, b := h.up()
		holdBack(t, h, a, func() peer { return b })
		carry(t, "from b to a, after that", b, a, "and back")
	})
}

// With absent: hold it is held back likewise while nobody is there, and the next peer gets everything.
func TestAbsentHold(t *testing.T) {
	over(t, orderedPairs(), func(t *testing.T, p pair) {
		h := startHub(t, p, eager, "absent: hold")
		holdBack(t, h, h.arrive(relay.A), func() peer { return h.arrive(relay.B) })
	})
}

// A peer that leaves while it is held back is seen to leave at once, but for one over TCP, which says it behind all that it has said before. What it
// has said arrives.
func TestLeavesWhileHeldBack(t *testing.T) {
	over(t, orderedPairsOf(func(a kind) bool { return !a.forgetful && !a.cuts }), func(t *testing.T, p pair) {
		h := startHub(t, p, eager)
		a, b := h.up()
		talker := talk(a, newStream(1))
		if said, err := talker.waitStuck(takenAtMost); err != nil {
			t.Fatalf("a has said %d bytes to one who does not read: %v; %s", said, err, describe(h.link()))
		}
		talker.finish.Store(true)
		if p.a.tcp {
			a.Close()
		} else {
			h.leave(a)
		}
		<-talker.done
		b.SetDeadline(time.Now().Add(patience))
		said := int(talker.said.Load())
		if err := hear(b, newStream(1), said); err != nil {
			t.Fatalf("b, of the %d bytes that a had said when it left: %v; %s", said, err, describe(h.link()))
		}
		h.wait("has nobody at a", func(l supervisor.Link) bool { return l.Ends[relay.A].Peer == nil })
		carry(t, "from a's successor to b", h.arrive(relay.A), b, "the next")
	})
}

// Under absent: hold, who comes after one who has left hears what is said from some point on, without a gap: what had reached the one who left is gone
// with it.
func TestListenerIsFollowed(t *testing.T) {
	over(t, orderedPairs(), func(t *testing.T, p pair) {
		h := startHub(t, p, eager, "absent: hold")
		a, first := h.up()
		talker := talk(a, newStream(1))
		defer func() {
			talker.finish.Store(true)
			a.Close()
			<-talker.done
		}()
		const enough = 30_000
		first.SetDeadline(time.Now().Add(patience))
		if err := hear(first, newStream(1), enough); err != nil {
			t.Fatalf("the first listener: %v", err)
		}
		first.Close()
		h.wait("has nobody at b", func(l supervisor.Link) bool { return l.Ends[relay.B].Peer == nil })
		next := h.arrive(relay.B)
		next.SetDeadline(time.Now().Add(patience))
		heard := make([]byte, enough)
		if n, err := io.ReadFull(next, heard); err != nil {
			t.Fatalf("the next listener, after %d bytes: %v; %s", n, err, describe(h.link()))
		}
		all := newStream(1).next(make([]byte, h.link().Ends[relay.B].Sent+(1<<20)))
		at := bytes.Index(all, heard[:64])
		switch {
		case at < enough:
			t.Errorf("the next listener begins with byte %d of what a has said, and the first one has heard %d; -1 is for something else", at, enough)
		case !bytes.Equal(all[at:at+enough], heard):
			t.Errorf("the next listener hears byte %d and on, and misses something behind byte %d", at, at+mismatch(heard, all[at:at+enough]))
		}
	})
}

// holdBack has a talk until it is held back, and only then a listener hear it.
func holdBack(t *testing.T, h *hub, a peer, listener func() peer) {
	t.Helper()
	a.SetDeadline(time.Now().Add(2 * patience))
	talker, words := talk(a, newStream(1)), newStream(1)
	defer func() {
		talker.finish.Store(true)
		a.SetDeadline(time.Unix(1, 0))
	}()
	said, err := talker.waitStuck(takenAtMost)
	if err != nil {
		t.Fatalf("a has said %d bytes to one who does not read: %v; %s", said, err, describe(h.link()))
	}
	if l := h.link(); l.Ends[relay.A].Received-l.Ends[relay.B].Sent > heldAtMost || l.Ends[relay.A].Discarded > 0 {
		t.Errorf("the hub holds more than %d bytes for one who does not read, or has dropped some: %s", heldAtMost, describe(l))
	}
	talker.finish.Store(true)
	b := listener()
	b.SetDeadline(time.Now().Add(patience))
	if err := hear(b, words, int(said)); err != nil {
		t.Fatalf("b, of the %d bytes that were taken from a: %v; %s", said, err, describe(h.link()))
	}
	select {
	case err = <-talker.done:
	case <-time.After(patience):
		t.Fatalf("a is still held back when b has read everything: %s", describe(h.link()))
	}
	if err == nil {
		err = hear(b, words, int(talker.said.Load()-said))
	}
	if err != nil {
		t.Fatalf("what a has said when it was let go again: %v; %s", err, describe(h.link()))
	}
	total := uint64(talker.said.Load())
	h.wait("has counted everything", func(l supervisor.Link) bool {
		return l.Ends[relay.A].Received == total && l.Ends[relay.B].Sent == total && l.Ends[relay.A].Discarded == 0
	})
}
