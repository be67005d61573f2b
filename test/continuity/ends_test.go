package continuity

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// TestAbstractSocketsOutliveTheHub does without files.
func TestAbstractSocketsOutliveTheHub(t *testing.T) {
	name := "@serialhub-" + t.Name() + "-"
	each(t, interruptions(), "  - {name: dbg, a: unix:"+name+"a, b: unix:"+name+"b}\n", func(t *testing.T, s *service, cause interruption) {
		a, b := s.dialAddress(name+"a"), s.dialAddress(name+"b")
		s.waitState("dbg", "up")
		cause.during(s, func() { say(t, a, "meanwhile") })
		hear(t, b, "meanwhile")
		a.Close()
		s.waitState("dbg", "half")
		converse(t, s.dialAddress(name+"a"), b)
	})
}

// TestFileDeletedMeanwhile deletes a socket's file: it is made again, and the peers stay.
func TestFileDeletedMeanwhile(t *testing.T) {
	each(t, interruptions(), oneLink, func(t *testing.T, s *service, cause interruption) {
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		cause.during(s, func() {
			if err := os.Remove(s.path("a")); err != nil {
				t.Error(err)
			}
		})
		converse(t, a, b)
		s.waitFile("a")
		a.Close()
		s.waitState("dbg", "half")
		converse(t, s.dial("a"), b)
		s.waitSharers("a", 2)
	})
}

// TestAddressesSwappedMeanwhile gives each of two links an address of the other's. The peers there are closed, the others stay.
func TestAddressesSwappedMeanwhile(t *testing.T) {
	const before = oneLink + "  - {name: other, a: c, b: d}\n"
	const after = "  - {name: dbg, a: c, b: b}\n  - {name: other, a: a, b: d}\n"
	each(t, interruptions(), before, func(t *testing.T, s *service, cause interruption) {
		a, b, c, d := s.dial("a"), s.dial("b"), s.dial("c"), s.dial("d")
		s.waitState("dbg", "up")
		s.waitState("other", "up")
		cause.during(s, func() { s.write(after) })
		hearEnd(t, a, "")
		hearEnd(t, c, "")
		s.ready()
		converse(t, s.dial("c"), b)
		converse(t, s.dial("a"), d)
	})
}

// TestLinkEndsMeanwhile lets a peer of a link leave that ends with its first peer.
func TestLinkEndsMeanwhile(t *testing.T) {
	each(t, interruptions(), "  - {name: dbg, a: a, b: b, restart: never}\n", func(t *testing.T, s *service, cause interruption) {
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		cause.during(s, func() {
			say(t, a, "goodbye")
			a.Close()
		})
		hearEnd(t, b, "goodbye")
		s.waitState("dbg", "stopped")
		s.waitSharers("a", 0)
		s.waitNoFile("a")
	})
}

// TestLinkEndsOnItsWay lets the peer of such a link leave before, while what it has said cannot be delivered yet.
func TestLinkEndsOnItsWay(t *testing.T) {
	each(t, interruptions()[2:], "  - {name: dbg, a: a, b: b, restart: never}\n", func(t *testing.T, s *service, cause interruption) {
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		text := strings.Repeat("goodbye ", 1<<15)
		say(t, a, text)
		a.Close()
		s.waitNoFile("a")
		cause.happen(s)
		hearEnd(t, b, text)
		s.waitState("dbg", "stopped")
		s.waitNoFile("a")
	})
}

// TestStartedLinkStaysStarted starts a link that is disabled before the hub is replaced.
func TestStartedLinkStaysStarted(t *testing.T) {
	links := "  - {name: dbg, a: a, b: b, disabled: true, transcript: {file: dbg.log, format: json}}\n"
	each(t, interruptions()[2:], links, func(t *testing.T, s *service, cause interruption) {
		s.post("/links/dbg/start")
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		converse(t, a, b)
		cause.happen(s)
		s.waitState("dbg", "up")
		converse(t, a, b)
		s.until("with all of it in the transcript", func() error {
			text, err := os.ReadFile(s.path("dbg.log"))
			return errors.Join(err, unless(strings.Count(string(text), "\n") >= 4, "it is %q", text))
		})
	})
}

// TestStoppedLinkStaysStopped stops a link before the hub is replaced.
func TestStoppedLinkStaysStopped(t *testing.T) {
	each(t, interruptions()[2:], oneLink, func(t *testing.T, s *service, cause interruption) {
		s.post("/links/dbg/stop")
		cause.happen(s)
		if status := s.link("dbg"); status.State != "stopped" {
			t.Errorf("the link is %+v", status)
		}
		s.post("/links/dbg/start")
		converse(t, s.dial("a"), s.dial("b"))
	})
}
