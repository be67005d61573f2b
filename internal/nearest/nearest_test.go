package nearest_test

import (
	"strings"
	"testing"

	"serialhub/internal/nearest"
)

func TestNames(t *testing.T) {
	known := strings.Fields("dbg console1 console2 console3 console4 Kernel win7-debugger x y")
	for word, want := range map[string]string{
		"dgb":      "dbg",
		"DBG":      "dbg",
		"dbgg":     "dbg",
		"console":  "console1, console2 or console3",
		"console2": "console2",
		"kernle":   "Kernel",
		"win7":     "win7-debugger",
		"":         "",
		"z":        "",
		"nothing":  "",
	} {
		if got := nearest.List(nearest.Names(word, known)); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
	if got := nearest.Names("dbg", nil); got != nil {
		t.Errorf("of nothing: %q", got)
	}
}
