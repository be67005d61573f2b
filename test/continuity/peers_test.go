package continuity

import (
	"net"
	"testing"
)

// TestPeerLeavesMeanwhile lets a peer say its last words and go: they arrive, and its end is free.
func TestPeerLeavesMeanwhile(t *testing.T) {
	each(t, interruptions(), oneLink, func(t *testing.T, s *service, cause interruption) {
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		cause.during(s, func() {
			say(t, a, "last words")
			a.Close()
		})
		hear(t, b, "last words")
		s.waitState("dbg", "half")
		s.waitSharers("a", 1)
		next := s.dial("a")
		s.waitState("dbg", "up")
		converse(t, next, b)
	})
}

// TestPeerComesMeanwhile connects a peer to an empty end, and lets it speak before the hub can hear.
func TestPeerComesMeanwhile(t *testing.T) {
	each(t, interruptions(), oneLink, func(t *testing.T, s *service, cause interruption) {
		a := s.dial("a")
		s.waitState("dbg", "half")
		cause.during(s, func() { say(t, s.dial("b"), "an early word") })
		hear(t, a, "an early word")
	})
}

// TestPeerTakesAnothersPlaceMeanwhile lets one peer go and the next come at the same end: their words arrive in order.
func TestPeerTakesAnothersPlaceMeanwhile(t *testing.T) {
	each(t, interruptions(), oneLink, func(t *testing.T, s *service, cause interruption) {
		first, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		cause.during(s, func() {
			say(t, first, "of the first, ")
			first.Close()
			if cause.replace {
				s.waitState("dbg", "half") // a second peer would be turned away
			}
			say(t, s.dial("a"), "of the second")
		})
		hear(t, b, "of the first, of the second")
	})
}

// TestReaderLeavesMeanwhile lets the listening peer go: what is said to nobody is dropped, and not given to the next.
func TestReaderLeavesMeanwhile(t *testing.T) {
	each(t, interruptions(), oneLink, func(t *testing.T, s *service, cause interruption) {
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		cause.during(s, func() {
			b.Close()
			say(t, a, "said to nobody")
		})
		s.waitLink("dbg", "half, with the words dropped", func(status linkStatus) bool {
			return status.State == "half" && status.Ends["a"].DiscardedBytes == int64(len("said to nobody"))
		})
		next := s.dial("b")
		s.waitState("dbg", "up")
		converse(t, a, next)
	})
}

// TestBothPeersLeaveMeanwhile finds the link empty, and no descriptor of theirs anywhere.
func TestBothPeersLeaveMeanwhile(t *testing.T) {
	each(t, interruptions(), oneLink, func(t *testing.T, s *service, cause interruption) {
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		cause.during(s, func() {
			say(t, a, "nobody hears it")
			a.Close()
			b.Close()
		})
		s.waitState("dbg", "waiting")
		s.waitSharers("a", 1)
		s.waitSharers("b", 1)
		next, other := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		converse(t, next, other)
	})
}

// TestSecondPeerMeanwhile connects a second peer to a taken end: it is turned away, and the first one stays.
func TestSecondPeerMeanwhile(t *testing.T) {
	each(t, interruptions(), oneLink, func(t *testing.T, s *service, cause interruption) {
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		var second *net.UnixConn
		cause.during(s, func() { second = s.dial("a") })
		hearEnd(t, second, "")
		converse(t, a, b)
	})
}

// TestQueueOutlivesTheHub keeps a queue of peers in its order.
func TestQueueOutlivesTheHub(t *testing.T) {
	const links = "  - {name: dbg, a: {listen: a, when_busy: queue}, b: b}\n"
	each(t, interruptions(), links, func(t *testing.T, s *service, cause interruption) {
		first, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		second := s.dial("a")
		s.waitQueue("dbg", "a", 1)
		third := s.dial("a")
		s.waitQueue("dbg", "a", 2)
		cause.happen(s)
		s.waitQueue("dbg", "a", 2)
		converse(t, first, b)
		first.Close()
		s.waitQueue("dbg", "a", 1)
		converse(t, second, b)
		second.Close()
		s.waitQueue("dbg", "a", 0)
		converse(t, third, b)
	})
}
