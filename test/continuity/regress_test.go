package continuity

import (
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"
)

// TestSlowReaderOfABufferedLink interrupts a hub whose pipe is full because the reader does not read: what is in the pipe is said to a peer
// that is there, and not cut to the size of the buffer.
func TestSlowReaderOfABufferedLink(t *testing.T) {
	const links = "  - {name: dbg, a: a, b: b, absent: buffer, buffer_size: 1KiB}\n"
	each(t, interruptions(), links, func(t *testing.T, s *service, cause interruption) {
		all := &stream{from: s.dial("a"), to: s.dial("b"), seed: byte(rand.Uint32()), size: 2 << 20}
		s.waitState("dbg", "up")
		sent := make(chan error, 1)
		go func() { sent <- all.send() }()
		s.waitLink("dbg", "held up", func(status linkStatus) bool { return status.Ends["a"].ReceivedBytes > 100<<10 })
		for range 3 {
			pass(time.Duration(rand.Int64N(int64(10 * time.Millisecond))))
			cause.happen(s)
		}
		if err := all.receive(); err != nil {
			t.Error(err)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}

// TestActivatedLinkRemovedMeanwhile takes a link out of the config and puts it back, while the hub is down: the socket of its socket unit is
// none of the hub's, and works as before.
func TestActivatedLinkRemovedMeanwhile(t *testing.T) {
	for _, cause := range interruptions() {
		t.Run(cause.name, func(t *testing.T) {
			s := newService(t, hubBinary, cause.managed, oneLink)
			s.activate("dbg.a", "a")
			s.start()
			s.ready()
			s.dial("a")
			s.waitState("dbg", "half")
			cause.during(s, func() { s.write("  []\n") })
			s.ready()
			cause.during(s, func() { s.write(oneLink) })
			s.ready()
			a, b := s.dial("a"), s.dial("b")
			s.waitState("dbg", "up")
			converse(t, a, b)
		})
	}
}

// TestDisabledLinkIsEnabledMeanwhile starts a link that was disabled when the hub was interrupted; one that somebody has stopped rests.
func TestDisabledLinkIsEnabledMeanwhile(t *testing.T) {
	each(t, interruptions(), "  - {name: dbg, a: a, b: b, disabled: true}\n", func(t *testing.T, s *service, cause interruption) {
		s.waitState("dbg", "stopped")
		cause.during(s, func() { s.write(oneLink) })
		s.waitState("dbg", "waiting")
		converse(t, s.dial("a"), s.dial("b"))
	})
}

// TestUpgradeDoesNotDependOnTheAPI replaces a hub whose config names an address for the API that is taken: the peers stay, and a reload mends it.
func TestUpgradeDoesNotDependOnTheAPI(t *testing.T) {
	s := newService(t, hubBinary, false, oneLink)
	s.start()
	s.ready()
	a, b := s.dial("a"), s.dial("b")
	s.waitState("dbg", "up")
	taken := newService(t, hubBinary, false, "  []\n")
	taken.start()
	taken.ready()
	text := fmt.Sprintf("api: {listen: %q}\nlinks:\n%s", "unix:"+taken.path("api"), oneLink)
	if err := os.WriteFile(s.path("links.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.replace()
	converse(t, a, b)
	s.write(oneLink)
	s.signal(syscall.SIGHUP)
	s.waitState("dbg", "up")
	converse(t, a, b)
}
