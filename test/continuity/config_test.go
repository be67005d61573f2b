package continuity

import (
	"os"
	"strings"
	"testing"
)

// TestLinkRemovedMeanwhile takes a link out of the config: its peers are closed, its sockets and what was stored of it are gone.
func TestLinkRemovedMeanwhile(t *testing.T) {
	const links = oneLink + "  - {name: extra, a: c, b: d}\n"
	each(t, interruptions(), links, func(t *testing.T, s *service, cause interruption) {
		a, b, c, d := s.dial("a"), s.dial("b"), s.dial("c"), s.dial("d")
		s.waitState("dbg", "up")
		s.waitState("extra", "up")
		cause.during(s, func() { s.write(oneLink) })
		hearEnd(t, c, "")
		hearEnd(t, d, "")
		s.waitSharers("c", 0)
		s.waitSharers("d", 0)
		s.waitNoFile("c")
		s.waitNoFile("d")
		converse(t, a, b)
		if s.manager == nil {
			return
		}
		s.until("without the link's descriptors", func() error {
			return unless(!strings.Contains(strings.Join(s.manager.names(), " "), "extra"), "stored is %q", s.manager.names())
		})
	})
}

// TestLinkDisabledMeanwhile disables a link instead.
func TestLinkDisabledMeanwhile(t *testing.T) {
	each(t, interruptions(), oneLink, func(t *testing.T, s *service, cause interruption) {
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		cause.during(s, func() { s.write("  - {name: dbg, a: a, b: b, disabled: true}\n") })
		hearEnd(t, a, "")
		hearEnd(t, b, "")
		s.waitState("dbg", "stopped")
		s.waitSharers("a", 0)
		s.waitNoFile("a")
	})
}

// TestAddressChangedMeanwhile moves an end: its peer is closed, the one at the other end stays.
func TestAddressChangedMeanwhile(t *testing.T) {
	each(t, interruptions(), oneLink, func(t *testing.T, s *service, cause interruption) {
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		cause.during(s, func() { s.write("  - {name: dbg, a: elsewhere, b: b}\n") })
		hearEnd(t, a, "")
		s.waitState("dbg", "half")
		s.waitSharers("a", 0)
		s.waitNoFile("a")
		next := s.dial("elsewhere")
		s.waitState("dbg", "up")
		converse(t, next, b)
	})
}

// TestRulesChangedMeanwhile changes how a link behaves: its peers stay, and what comes then is treated as the new rule says.
func TestRulesChangedMeanwhile(t *testing.T) {
	each(t, interruptions(), oneLink, func(t *testing.T, s *service, cause interruption) {
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		cause.during(s, func() { s.write("  - {name: dbg, a: a, b: b, absent: hold}\n") })
		converse(t, a, b)
		b.Close()
		s.waitState("dbg", "half")
		say(t, a, "held")
		hear(t, s.dial("b"), "held")
	})
}

// TestLinkRenamedMeanwhile gives a link another name. Whether its peers stay or have to come again, the link works under the new one.
func TestLinkRenamedMeanwhile(t *testing.T) {
	each(t, interruptions(), oneLink, func(t *testing.T, s *service, cause interruption) {
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		cause.during(s, func() { s.write("  - {name: other, a: a, b: b}\n") })
		s.ready()
		status := s.link("other")
		t.Logf("the renamed link is %s", status.State)
		if status.State != "up" {
			hearEnd(t, a, "")
			hearEnd(t, b, "")
			s.waitState("other", "waiting")
			a, b = s.dial("a"), s.dial("b")
			s.waitState("other", "up")
		}
		converse(t, a, b)
		s.waitSharers("a", 2)
		s.waitSharers("b", 2)
	})
}

// TestBadConfigMeanwhile lets a process end for a fault in the config. When that is mended, the peers are still there.
func TestBadConfigMeanwhile(t *testing.T) {
	each(t, interruptions()[:2], oneLink, func(t *testing.T, s *service, cause interruption) {
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		say(t, a, "not read yet")
		cause.during(s, func() { s.write("  - {name: dbg, a: a}\n") })
		s.gone()
		if code := s.process.state.ExitCode(); code != 2 {
			t.Errorf("with a fault in the config the hub ended with %v", s.process.state)
		}
		s.write(oneLink)
		s.start()
		hear(t, b, "not read yet")
		converse(t, a, b)
	})
}

// waitNoFile waits until there is no such file.
func (s *service) waitNoFile(name string) {
	s.t.Helper()
	s.until("without a file "+name, func() error {
		_, err := os.Lstat(s.path(name))
		return unless(os.IsNotExist(err), "%s: %v", name, err)
	})
}

// waitFile waits until there is such a file.
func (s *service) waitFile(name string) {
	s.t.Helper()
	s.until("with a file "+name, func() error {
		_, err := os.Lstat(s.path(name))
		return err
	})
}
