package console

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A person sees as many lines as there is room for, scrolls, and is told how many there are besides.
func TestViewScrolls(t *testing.T) {
	draw := func(n int) func(int) (top, scrolled []string) {
		return func(int) (top, scrolled []string) {
			for i := range n {
				scrolled = append(scrolled, fmt.Sprint("line ", i+1))
			}
			return []string{"top"}, scrolled
		}
	}
	v := view{leave: "q leaves"}
	for _, row := range []struct {
		typed         string
		height, lines int
		want          string
	}{
		{"", 5, 3, "top|line 1|line 2|line 3|q leaves"},
		{"j\x1b[B G", 5, 3, "top|line 1|line 2|line 3|q leaves"},
		{"g", 5, 10, "top|line 1|line 2|line 3|1 to 3 of 10, 7 more; arrows scroll, q leaves"},
		{"\x1b[B", 5, 10, "top|line 2|line 3|line 4|2 to 4 of 10, 6 more; arrows scroll, q leaves"},
		{" j", 5, 10, "top|line 6|line 7|line 8|6 to 8 of 10, 2 more; arrows scroll, q leaves"},
		{"\x1b[F", 5, 10, "top|line 8|line 9|line 10|8 to 10 of 10, 0 more; arrows scroll, q leaves"},
		{"k\x1bOA", 5, 10, "top|line 6|line 7|line 8|6 to 8 of 10, 2 more; arrows scroll, q leaves"},
		{"\x1b[5~", 5, 10, "top|line 3|line 4|line 5|3 to 5 of 10, 5 more; arrows scroll, q leaves"},
		{"bbbb", 5, 10, "top|line 1|line 2|line 3|1 to 3 of 10, 7 more; arrows scroll, q leaves"},
		{"\x1b[6~\x1b[6~", 5, 4, "top|line 2|line 3|line 4|2 to 4 of 4, 0 more; arrows scroll, q leaves"}, // links were removed
		{"\x1b[1;5Cx\x1b\x1b[", 5, 1, "top|line 1|q leaves"},
		{"", 2, 9, "top|line 1"},
		{"", 1, 9, "top"},
		{"g", 5, 0, "top|q leaves"},
	} {
		if got, rest := v.press([]byte(row.typed)); got != stay || len(rest) > 0 {
			t.Errorf("%q: %d, %q", row.typed, got, rest)
		}
		if got := strings.Join(v.lines(row.height, 80, draw(row.lines)), "|"); got != row.want {
			t.Errorf("after %q: %s, want %s", row.typed, got, row.want)
		}
	}
	if got := v.lines(3, 10, draw(9)); !slices.Equal(got, []string{"top", "line 1", "1 to 1 of "}) {
		t.Errorf("a narrow one: %q", got)
	}
	for typed, want := range map[string]int{"q": leave, "\x03": leave, "\x1c": leave, "jjq": leave, "\x1a": suspend, "\x1bq": leave, "j\x1a": suspend} {
		if got, rest := v.press([]byte(typed + "xyz")); got != want || string(rest) != "xyz" {
			t.Errorf("%q: %d, %q, want %d", typed, got, rest, want)
		}
	}
}

func FuzzPress(f *testing.F) {
	f.Add([]byte("\x1b[5~\x1bOA\x1b[1;5C"))
	f.Fuzz(func(t *testing.T, typed []byte) {
		v := view{page: 3}
		v.press(typed)
		if v.first < 0 {
			t.Errorf("%d", v.first)
		}
	})
}
