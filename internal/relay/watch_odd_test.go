package relay_test

import (
	"errors"
	"testing"

	"serialhub/internal/relay"
)

// TestWatchBeforeAdopt has nothing of an earlier process be forgotten because somebody watches: what is kept of a link stays as it is until the
// link has taken it over.
func TestWatchBeforeAdopt(t *testing.T) {
	b := newBench(t)
	kept := make(chan []relay.Part, 16)
	var counters [2]relay.Counters
	rules := relay.Rules{Absent: relay.Buffer, BufferSize: 4096}
	link := relay.NewLink(b.loop, 2, rules, &counters, relay.Hooks{
		Report: func(relay.Event) {},
		Keep:   func(parts []relay.Part) bool { kept <- parts; return true },
	})
	t.Cleanup(link.Close)
	link.Watch(&witness{})
	link.Rest() // the hub may end as early as that
	if len(kept) > 0 {
		t.Fatalf("before it has taken over anything, %v is kept", <-kept)
	}
	peer, _ := socketpair(t)
	estate := relay.Estate{Ends: [2]relay.EndEstate{{Peer: &peer, Buffer: -1}, {Buffer: -1}}}
	if err := link.Adopt(estate); err != nil {
		t.Fatal(err)
	}
	roles := map[relay.Role]bool{}
	for _, part := range <-kept {
		roles[part.Role] = true
	}
	if !roles[relay.RolePeer] || !roles[relay.RoleTape] {
		t.Errorf("then %v is kept", roles)
	}
}

// TestSayToWhoHasLeft says something between the moment at which a peer leaves and that at which the link would have noticed. It goes on as
// if it had noticed by itself.
func TestSayToWhoHasLeft(t *testing.T) {
	b := newBenchWith(t, relay.Rules{EndAfter: relay.AnyLoss})
	a := b.connect(relay.A)
	entered, proceed := make(chan struct{}), make(chan struct{})
	done := make(chan error, 3)
	go func() {
		b.loop.Halt(func() { close(entered); <-proceed })
		done <- nil
	}()
	<-entered
	leave := make(chan struct{})
	go func() { // both are posted while the loop stands, so that it does not look at its sockets in between
		b.loop.Halt(func() { close(leave); a.Close() })
		done <- nil
	}()
	b.eventually("it is posted", func() bool { return b.loop.Posted() == 1 })
	go func() {
		_, err := b.link.Say(relay.A, []byte("x"), false)
		done <- err
	}()
	b.eventually("it is posted", func() bool { return b.loop.Posted() == 2 })
	close(proceed)
	for range 3 {
		if err := <-done; err != nil && !errors.Is(err, relay.ErrNobody) {
			t.Errorf("%v", err)
		}
	}
	for event := b.next(); event.Kind != relay.Over; event = b.next() {
	}
}

// TestReplaceWhereBothAreClosed attaches somebody in the place of a peer whose end takes the other one with it: the newcomer gets the end when
// that one is gone.
func TestReplaceWhereBothAreClosed(t *testing.T) {
	b := newBenchWith(t, relay.Rules{CloseBoth: true})
	b.connect(relay.A)
	other := b.connect(relay.B)
	fill(t, b.conns[relay.A], random(8<<20)) // it is not gone at once
	peer, conn := socketpair(t)
	if _, err := b.link.Attach(relay.A, peer, true); err != nil {
		t.Fatal(err)
	}
	b.expect(relay.Left, relay.A)
	b.expect(relay.Queued, relay.A)
	b.link.Seen(relay.A)
	other.Close()
	b.expect(relay.Left, relay.B)
	b.expect(relay.Arrived, relay.A)
	b.link.Seen(relay.A)
	carry(t, conn, b.connect(relay.B), []byte("there"))
}
