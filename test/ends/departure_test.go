package ends

import (
	"fmt"
	"io"
	"testing"
	"time"

	"serialhub/internal/relay"
	"serialhub/internal/supervisor"
)

// noticed is how long a departure may go unnoticed.
const noticed = time.Second

// leave has the peer of a leave, and waits until the hub has noticed.
func (h *hub) leave(a peer) {
	h.t.Helper()
	if err := a.Close(); err != nil {
		h.t.Errorf("the peer cannot leave: %v", err)
	}
	h.waitWithin(noticed, "has noticed that a's peer has left", func(l supervisor.Link) bool { return l.Ends[relay.A].State != supervisor.EndConnected })
}

// A peer that leaves and comes back finds the other one where it was, and each hears what the other says then; nothing of what was
// said while it was away.
func TestDepartureAndReturn(t *testing.T) {
	const returns = 5
	over(t, orderedPairs(), func(t *testing.T, p pair) {
		h := startHub(t, p, eager)
		b := h.arrive(relay.B)
		stale := 0
		for round := range returns {
			h.waitState(h.empty(relay.A))
			n, err := fmt.Fprintf(b, "nobody hears this, round %d", round)
			if err != nil {
				t.Fatalf("b cannot talk to nobody: %v", err)
			}
			stale += n
			h.wait("has dropped what was said to nobody", func(l supervisor.Link) bool { return l.Ends[relay.B].Discarded == uint64(stale) })

			a := h.arrive(relay.A)
			h.waitState(supervisor.LinkUp)
			carry(t, fmt.Sprintf("round %d, from a to b", round), a, b, fmt.Sprintf("here I am for the %dth time", round))
			carry(t, fmt.Sprintf("round %d, from b to a", round), b, a, fmt.Sprintf("I have been here %d times", round))
			h.leave(a)
		}
		if l := h.waitState(h.empty(relay.A)); l.Ends[relay.B].Connections != 1 || l.Ends[relay.A].Connections != returns {
			t.Errorf("a should have been connected %d times, and b once: %s", returns, describe(l))
		}
	})
}

// slowly reads little at a time, and not often.
type slowly struct {
	io.Reader
	tick *time.Ticker
}

func (s slowly) Read(p []byte) (int, error) {
	<-s.tick.C
	return s.Reader.Read(p[:min(len(p), 4000)])
}

// What a peer has said before it left still arrives, all of it and no more; also if the other one reads slowly, or only later.
func TestLastWords(t *testing.T) {
	over(t, orderedPairs(), func(t *testing.T, p pair) {
		h := startHub(t, p, eager)
		b := h.arrive(relay.B)
		b.SetDeadline(time.Now().Add(patience))
		total := 0
		depart := func(a peer, n int) {
			a.SetDeadline(time.Now().Add(patience))
			if err := say(a, newStream(uint64(n)), n); err != nil {
				t.Fatalf("a cannot say its last words: %v", err)
			}
			total += n
			if p.a.forgetful {
				h.wait("has read a's last words", func(l supervisor.Link) bool { return l.Ends[relay.A].Received == uint64(total) })
			}
			h.leave(a)
		}

		later := 6000
		depart(h.arrive(relay.A), later)
		if err := hear(b, newStream(uint64(later)), later); err != nil {
			t.Fatalf("b, which has begun to read when a had gone: %v", err)
		}

		slow := 200_000
		if p.tty() {
			slow = 60_000
		}
		a := h.arrive(relay.A)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		heard := make(chan error, 1)
		go func() { heard <- hear(slowly{b, tick}, newStream(uint64(slow)), slow) }()
		depart(a, slow)
		if err := <-heard; err != nil {
			t.Fatalf("b, which reads slowly: %v", err)
		}

		h.wait("has counted everything", func(l supervisor.Link) bool {
			return l.Ends[relay.A].Received == uint64(total) && l.Ends[relay.B].Sent == uint64(total) && l.Ends[relay.A].Discarded == 0
		})
		carry(t, "from a's successor to b", h.arrive(relay.A), b, "the next")
	})
}

// What the hub has read when it is stopped, it delivers to a peer that reads.
func TestStopOfTheHub(t *testing.T) {
	over(t, orderedPairs(), func(t *testing.T, p pair) {
		h := startHub(t, p, eager)
		a, b := h.up()
		a.SetDeadline(time.Now().Add(patience))
		b.SetDeadline(time.Now().Add(patience))
		enough := uint64(1 << 20)
		if p.tty() {
			enough = 100 << 10
		}
		talker := talk(a, newStream(1))
		gone := make(chan struct{})
		go func() { // a leaves when the hub does
			defer close(gone)
			io.Copy(io.Discard, a)
			talker.finish.Store(true)
			a.Close()
		}()
		var heard int
		var hearing error
		done := make(chan struct{})
		go func() {
			defer close(done)
			heard, hearing = hearAll(b, newStream(1))
			b.Close() // the hub waits for it, where that is how it is seen that everything has arrived
		}()
		h.wait("carries bytes", func(l supervisor.Link) bool { return l.Ends[relay.B].Sent >= enough })
		h.Stop()
		h.waitEnded()
		<-done
		if hearing != nil {
			t.Errorf("b: %v", hearing)
		}
		<-gone
		<-talker.done
		from, to := h.link().Ends[relay.A], h.link().Ends[relay.B]
		if from.Received != to.Sent {
			t.Errorf("the hub has read %d bytes and passed on %d of them; it has dropped %d", from.Received, to.Sent, from.Discarded)
		}
		if lost := int(to.Sent) - heard; lost < 0 || lost > p.b.loses {
			t.Errorf("the hub has passed on %d bytes and b has got %d; %d may be lost", to.Sent, heard, p.b.loses)
		}
	})
}
