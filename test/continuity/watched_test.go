package continuity

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
)

// tapes is how many tapes a process has mapped, and how many descriptors of such.
func (s *service) tapes() (mapped, open int) {
	s.t.Helper()
	maps, err := os.ReadFile(procFile(s.process.pid, "maps"))
	if err != nil {
		s.t.Fatal(err)
	}
	entries, err := os.ReadDir(procFile(s.process.pid, "fd"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, entry := range entries {
		if name, err := os.Readlink(procFile(s.process.pid, "fd/"+entry.Name())); err == nil && strings.Contains(name, "serialhub-tape") {
			open++
		}
	}
	return bytes.Count(maps, []byte("serialhub-tape")), open
}

// waitTapes waits until a process has so many tapes.
func (s *service) waitTapes(want int) {
	s.t.Helper()
	s.until("down to its tapes", func() error {
		mapped, open := s.tapes()
		return unless(mapped == want && open == want, "%d are mapped and %d open, not %d", mapped, open, want)
	})
}

// TestScrollbackOfAStoppedLink stops a link: what has crossed it is shown still, also by the next process, and more comes when it runs again.
func TestScrollbackOfAStoppedLink(t *testing.T) {
	each(t, interruptions(), scrolled, func(t *testing.T, s *service, cause interruption) {
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		converse(t, a, b)
		text := s.scrollbackText("dbg")
		s.post("/links/dbg/stop")
		s.waitState("dbg", "stopped")
		for range 2 {
			cause.happen(s)
			if after := s.scrollbackText("dbg"); after != text {
				t.Fatalf("the scrollback was\n%sand is\n%s", text, after)
			}
		}
		s.post("/links/dbg/start")
		s.waitState("dbg", "waiting")
		converse(t, s.dial("a"), s.dial("b"))
		if after := s.scrollbackText("dbg"); !strings.HasPrefix(after, text) || dialogue(t, after) != strings.Repeat("a:from a to b b:and back ", 2) {
			t.Errorf("the scrollback was\n%sand is\n%s", text, after)
		}
		s.waitTapes(1)
	})
}

// TestScrollbackFollowsTheConfig changes how much is kept, while peers are there: they stay.
func TestScrollbackFollowsTheConfig(t *testing.T) {
	link := func(name, size string) string {
		return fmt.Sprintf("  - {name: %s, a: a, b: b, scrollback: %s}\n", name, size)
	}
	const exchange = "a:from a to b b:and back "
	each(t, changes(), oneLink, func(t *testing.T, s *service, cause interruption) {
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		name := "dbg"
		become := func(next, size, want string) {
			t.Helper()
			converse(t, a, b)
			cause.rewrite(s, link(next, size))
			name = next
			s.until("showing what it should", func() error {
				text, err := s.fetch("GET", "/links/"+name+"/tap?since_start=true&follow=false&format=json")
				if size == "0" {
					return unless(err != nil && strings.Contains(err.Error(), "409"), "there is still scrollback: %q, %v", text, err)
				}
				if err != nil {
					return err
				}
				got := dialogue(t, string(text))
				return unless(got == want, "the scrollback is %q, not %q", got, want)
			})
			if status := s.waitState(name, "up"); status.Sessions != 1 {
				t.Errorf("the link is %+v", status)
			}
		}
		become("dbg", "4KiB", "")
		become("dbg", "1MiB", exchange)
		become("other", "1MiB", exchange+exchange)
		become("other", "0", "")
		s.waitTapes(0)
		become("other", "1KiB", "")
		converse(t, a, b)
		s.waitTapes(1)
		cause.rewrite(s, "  []\n")
		hearEnd(t, a, "")
		s.waitTapes(0)
		if cause.managed {
			s.manager.settle(t) // a hub that is killed before it has been heard leaves the link
		}
		cause.rewrite(s, link("other", "1KiB"))
		s.waitState("other", "waiting")
		if got := s.scrollback("other"); len(got) > 0 {
			t.Errorf("the link is another one, and shows %v", got)
		}
	})
}

// TestDisabledLinkIsWatchedAgain disables a link and enables it again. A process that finds it disabled has no use for what had crossed it.
func TestDisabledLinkIsWatchedAgain(t *testing.T) {
	disabled := strings.Replace(scrolled, "}", ", disabled: true}", 1)
	each(t, changes(), scrolled, func(t *testing.T, s *service, cause interruption) {
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		converse(t, a, b)
		cause.rewrite(s, disabled)
		hearEnd(t, a, "")
		s.waitState("dbg", "stopped")
		cause.rewrite(s, scrolled)
		s.waitState("dbg", "waiting")
		converse(t, s.dial("a"), s.dial("b"))
		want := "a:from a to b b:and back "
		if cause.name == "reload" {
			want += want
		}
		if got := dialogue(t, s.scrollbackText("dbg")); got != want {
			t.Errorf("the scrollback is %q, not %q", got, want)
		}
		s.waitTapes(1)
	})
}

// TestNothingOfWatchersIsLeft interrupts the hub often while somebody watches: there are no more descriptors, tapes and mappings than after the first time.
func TestNothingOfWatchersIsLeft(t *testing.T) {
	const links = "  - {name: dbg, a: a, b: b, scrollback: 64KiB, transcript: {file: dbg.log, max_size: 4KiB, keep: 3}}\n"
	each(t, interruptions(), links, func(t *testing.T, s *service, cause interruption) {
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		once := func() {
			tap := s.tap("/links/dbg/tap")
			socket := readSocket(s.socket("/links/dbg/tap?since_start=true"))
			converse(t, a, b)
			cause.happen(s)
			s.ready()
			<-tap
			<-socket
			converse(t, a, b)
		}
		once()
		open := 0
		settled := func(want int) func() error {
			return func() error {
				before := open
				open = s.descriptors()
				if mapped, tapes := s.tapes(); mapped != 1 || tapes != 1 {
					return fmt.Errorf("%d tapes are mapped, and %d open", mapped, tapes)
				}
				return unless(open == before && (want == 0 || open <= want), "%d descriptors are open, %d before", open, before)
			}
		}
		s.until("at rest", settled(0))
		first := open
		for range 20 {
			once()
		}
		s.until("at rest with as many descriptors", settled(first))
		if s.manager != nil {
			s.until("stored as little", func() error { names := s.manager.names(); return unless(len(names) <= 3+spare, "stored is %q", names) })
		}
	})
}
