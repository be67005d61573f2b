package console

import (
	"strings"
	"testing"
)

// TestScreen leaves the alternate screen only if the machine has not, wherever the pieces end.
func TestScreen(t *testing.T) {
	for said, want := range map[string]bool{
		"":                                     false,
		"\x1b[?1049h":                          true,
		"vi \x1b[?10|49|h text":                true,
		"\x1b|[?1049h text \x1b[?1049l":        false,
		"\x1b[?1049h|text|\x1b[?1049|l prompt": false,
		"\x1b[?1049h\x1b[?1049l\x1b[?1049h":    true,
		"\x1b[?1049l|\x1b[?1049":               false,
	} {
		var s screen
		for piece := range strings.SplitSeq(said, "|") {
			s.see([]byte(piece))
		}
		if got := strings.Contains(s.sane(), leaveAlternate); got != want {
			t.Errorf("%q: it leaves: %v", said, got)
		}
		if strings.Contains(s.sane(), leaveAlternate) {
			t.Errorf("%q: it leaves twice", said)
		}
	}
}
