package continuity

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

const scrolled = "  - {name: dbg, a: a, b: b, scrollback: 256KiB}\n"

// TestScrollbackOutlivesTheHub shows what has crossed a link before an interruption, as it was shown before that, and then what has crossed
// since.
func TestScrollbackOutlivesTheHub(t *testing.T) {
	each(t, interruptions(), scrolled, func(t *testing.T, s *service, cause interruption) {
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		want := ""
		for range 3 {
			converse(t, a, b)
			want += "a:from a to b b:and back "
			text := s.scrollbackText("dbg")
			if got := dialogue(t, text); got != want {
				t.Fatalf("the scrollback is %q, not %q", got, want)
			}
			cause.happen(s)
			if after := s.scrollbackText("dbg"); after != text {
				t.Fatalf("the scrollback was\n%sand is\n%s", text, after)
			}
		}
	})
}

// dialogue is who has said what; what each has said is without gaps.
func dialogue(t *testing.T, text string) string {
	t.Helper()
	pieces, err := parsePieces(text)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, one := range pieces {
		fmt.Fprintf(&all, "%s:%s ", one.End, one.Data)
	}
	for _, end := range []string{"a", "b"} {
		if _, _, err := said(pieces, end); err != nil {
			t.Error(err)
		}
	}
	return all.String()
}

// TestScrollbackOfAFlow interrupts the hub while bytes flow both ways: in the end the newest of them are shown, without a gap.
func TestScrollbackOfAFlow(t *testing.T) {
	each(t, interruptions(), scrolled, func(t *testing.T, s *service, cause interruption) {
		times, size := sized(50, 8), sized[int64](200<<20, 24<<20)
		p := newProgress(2*size, times)
		f := startFlow(s.dial("a"), s.dial("b"), size, p)
		s.waitState("dbg", "up")
		for range times {
			p.await(t)
			cause.happen(s)
		}
		if _, err := f.wait(); err != nil {
			t.Fatal(err)
		}
		pieces, sum := s.scrollback("dbg"), 0
		for i, end := range []string{"a", "b"} {
			got, from, err := said(pieces, end)
			if err != nil {
				t.Error(err)
				continue
			}
			sum += len(got)
			if len(got) > 0 && from+int64(len(got)) != size {
				t.Errorf("what comes from %s ends at %d of %d bytes", end, from+int64(len(got)), size)
			}
			all := make([]byte, size)
			f.streams[i].bytes().Read(all)
			if !bytes.HasSuffix(all, got) {
				t.Errorf("the %d bytes from %s are not the newest of %d", len(got), end, size)
			}
		}
		if sum != 256<<10 {
			t.Errorf("the scrollback has %d bytes", sum)
		}
	})
}

// TestWatchedPeersOutliveABriefHub kills processes that have only just begun: whoever is at a link stays there, also if it is watched, and what was kept of it is
// still there.
func TestWatchedPeersOutliveABriefHub(t *testing.T) {
	each(t, interruptions()[:1], scrolled, func(t *testing.T, s *service, cause interruption) {
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		converse(t, a, b)
		text := s.scrollbackText("dbg")
		cause.happen(s)
		for range sized(200, 50) {
			pass(time.Duration(rand.Int64N(int64(20 * time.Millisecond))))
			cause.happen(s)
		}
		if after := s.scrollbackText("dbg"); after != text {
			t.Fatalf("the scrollback was\n%sand is\n%s", text, after)
		}
		converse(t, a, b)
		s.waitState("dbg", "up")
	})
}
