package relay_test

import (
	"encoding/binary"
	"io"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"serialhub/internal/relay"
)

// TestReplaceDropsWhatWasSaidToTheOneBefore has small messages on their way, which a pump moves a few at a time.
func TestReplaceDropsWhatWasSaidToTheOneBefore(t *testing.T) {
	b := newBenchWith(t, relay.Rules{Ends: [2]relay.EndRules{{}, {Busy: relay.Replace}}})
	a := b.connect(relay.A)
	b.connect(relay.B)
	for range 200 {
		if _, err := a.Write([]byte("secret for first")); err != nil {
			t.Fatal(err)
		}
	}
	newest := b.dial(relay.B)
	b.expect(relay.Left, relay.B)
	b.expect(relay.Arrived, relay.B)
	carry(t, a, newest, []byte("fresh"))
}

// TestDisconnectOfBothIsOneStep does not let a peer that waits at one end speak to the old one at the other.
func TestDisconnectOfBothIsOneStep(t *testing.T) {
	b := newBenchWith(t, relay.Rules{Ends: [2]relay.EndRules{{Busy: relay.Queue}, {Busy: relay.Queue}}})
	b.connect(relay.A)
	oldB := b.connect(relay.B)
	newA := b.dial(relay.A)
	b.expect(relay.Queued, relay.A)
	newB := b.dial(relay.B)
	b.expect(relay.Queued, relay.B)
	if _, err := newA.Write([]byte("words of the new a")); err != nil {
		t.Fatal(err)
	}
	b.link.Disconnect(relay.A, relay.B)
	if got, err := io.ReadAll(oldB); err != nil || len(got) > 0 {
		t.Errorf("the old peer at b got %q, %v", got, err)
	}
	got := make([]byte, len("words of the new a"))
	if _, err := io.ReadFull(newB, got); err != nil || string(got) != "words of the new a" {
		t.Errorf("the new peer at b got %q, %v", got, err)
	}
}

// TestOutOfBandBytes are bytes like others, and do not keep a drain from ending.
func TestOutOfBandBytes(t *testing.T) {
	b := newBench(t)
	a, other := b.connect(relay.A), b.connect(relay.B)
	raw, err := a.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var sendErr error
	if err := raw.Control(func(fd uintptr) { sendErr = unix.Sendto(int(fd), []byte("x"), unix.MSG_OOB, nil) }); err != nil || sendErr != nil {
		t.Fatal(err, sendErr)
	}
	b.link.Drain()
	if got, err := io.ReadAll(other); err != nil || string(got) != "x" {
		t.Errorf("got %q, %v", got, err)
	}
	b.expectOver()
}

// TestNothingSaidToOneReachesTheNext streams small messages, which rest on their way, to peers that come and go.
func TestNothingSaidToOneReachesTheNext(t *testing.T) {
	b := newBench(t)
	a := b.connect(relay.A)
	var said atomic.Uint64 // how many messages have been sent
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, err := a.Write(binary.BigEndian.AppendUint64(nil, said.Load()+1)); err != nil {
				return
			}
			said.Add(1)
		}
	}()
	last := uint64(0)
	for i := range 300 {
		peer := b.connect(relay.B)
		message := make([]byte, 8)
		if _, err := io.ReadFull(peer, message); err != nil {
			t.Fatal(err)
		}
		if first := binary.BigEndian.Uint64(message); first <= last {
			t.Fatalf("peer %d got message %d first; %d had been sent when the one before left", i, first, last)
		}
		if _, err := io.CopyN(io.Discard, peer, 2000); err != nil {
			t.Fatal(err)
		}
		last = said.Load()
		b.disconnect(relay.B, peer)
	}
	a.Close()
	<-done
}
