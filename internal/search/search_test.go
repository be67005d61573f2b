package search_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"serialhub/internal/search"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func literal(t testing.TB, text string) search.Finder {
	t.Helper()
	finder, err := search.Literal([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return finder
}

func expression(t testing.TB, text string) search.Finder {
	t.Helper()
	finder, err := search.Expression(text)
	if err != nil {
		t.Fatal(err)
	}
	return finder
}

func TestLiteral(t *testing.T) {
	for _, row := range []struct {
		text   string
		pieces string // "|" is between two
		want   bool
	}{
		{"login: ", "Debian\r\n\r\nlogin: ", true},
		{"login: ", "log|in|: ", true},
		{"login: ", "login:", false},
		{"aab", "aaab", true},
		{"aab", "a|a|a|b", true},
		{"abcabd", "abcabcabd", true},
		{"abab", "aba|cabab", true},
		{"\x00\xff", "\x00|\x00|\xff", true},
		{"x", "", false},
	} {
		finder, got := literal(t, row.text), false
		for piece := range strings.SplitSeq(row.pieces, "|") {
			got = finder.Feed([]byte(piece))
		}
		if got != row.want {
			t.Errorf("%q in %q: %v", row.text, row.pieces, got)
		}
	}
}

func TestReset(t *testing.T) {
	for _, finder := range []search.Finder{literal(t, "ab"), expression(t, "ab")} {
		finder.Feed([]byte("a"))
		finder.Reset()
		if finder.Feed([]byte("b")) {
			t.Error("found across a gap")
		}
		if !finder.Feed([]byte("ab")) {
			t.Error("not found after a gap")
		}
		if finder.Reset(); finder.Feed([]byte("b")) {
			t.Error("found what was found before")
		}
	}
}

// FuzzLiteral compares with a search of all at once, over a small alphabet, so that texts begin like themselves.
func FuzzLiteral(f *testing.F) {
	f.Add([]byte("aab"), []byte("aaab"), uint8(1))
	f.Add([]byte("abaabab"), []byte("abaabaabab"), uint8(3))
	f.Fuzz(func(t *testing.T, text, stream []byte, size uint8) {
		for _, p := range [][]byte{text, stream} {
			for i := range p {
				p[i] = 'a' + p[i]%2
			}
		}
		finder, err := search.Literal(text)
		if err != nil {
			if len(text) > 0 {
				t.Error(err)
			}
			return
		}
		got := false
		for rest := stream; len(rest) > 0; {
			n := min(int(size)+1, len(rest))
			got = finder.Feed(rest[:n])
			rest = rest[n:]
		}
		if want := bytes.Contains(stream, text); got != want {
			t.Errorf("%q in %q, %d at once: %v", text, stream, int(size)+1, got)
		}
	})
}

func TestExpression(t *testing.T) {
	long := strings.Repeat("x", 200_000)
	for _, row := range []struct {
		re     string
		pieces string
		want   bool
	}{
		{"login: $", "Debian\r\nlog|in: ", true},
		{"^panic", "no panic here\r\n", false},
		{"^panic", "no\r\n|panic", true},
		{"(?i)OOPS|bug", "a B|UG", true},
		{"a.*b", "a|\n|b", false},
		{"(?s)a.*b", "a|\n|b", true},
		{"a(x+)b", "a" + strings.Repeat("x", 30_000) + "|b", true},
		{"a(x+)b", "a" + long + "|b", false}, // longer than the window
		{"needle", long + "need|le" + long, true},
		{"needle", strings.Repeat("line\n", 50_000) + "nee|dle", true},
		{"^line2", strings.Repeat("a line2\n", 50_000), false}, // the window never begins within a line
		{"end\r?$", long + "\nthe end\r\n", true},
	} {
		finder, got := expression(t, row.re), false
		for piece := range strings.SplitSeq(row.pieces, "|") {
			got = finder.Feed([]byte(piece))
		}
		if got != row.want {
			t.Errorf("%q in %.40q…: %v", row.re, row.pieces, got)
		}
	}
}

func TestWrong(t *testing.T) {
	if _, err := search.Literal(nil); err == nil {
		t.Error("an empty text is found")
	}
	for _, re := range []string{"", "x*", "$", "a)(b", "(", "[", "a|"} {
		if _, err := search.Expression(re); err == nil {
			t.Errorf("%q is taken", re)
		} else if strings.Contains(err.Error(), "?m") {
			t.Errorf("%q: %v", re, err)
		}
	}
}

// counter counts how often it is fed.
type counter struct {
	search.Finder
	fed int
}

func (c *counter) Feed(p []byte) bool {
	c.fed++
	return c.Finder.Feed(p)
}

// TestStream gathers what comes byte by byte, and finds it soon.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		finder := &counter{Finder: expression(t, "login: $")}
		found := make(chan struct{}, 2)
		stream := search.NewStream(finder, func() { found <- struct{}{} })
		text := strings.Repeat("booting\r\n", 1000) + "login: "
		for i := range text {
			stream.Write([]byte{text[i]})
			<-time.After(100 * time.Microsecond)
		}
		said := time.Now()
		<-found
		if late := time.Since(said); late > 50*time.Millisecond {
			t.Errorf("found after %v", late)
		}
		if finder.fed > 50 {
			t.Errorf("searched %d times in a second", finder.fed)
		}
		stream.Write([]byte("\r\nlogin: "))
		stream.Flush()
		if len(found) > 0 {
			t.Error("found twice")
		}
	})
}

// TestStreamWithGap searches what came before a gap, but not across it.
func TestStreamWithGap(t *testing.T) {
	for text, want := range map[string]int{"ab|": 1, "a|b": 0, "a||ab": 1} {
		found := 0
		stream := search.NewStream(expression(t, "ab"), func() { found++ })
		for piece := range strings.SplitSeq(text, "|") {
			stream.Write([]byte(piece))
			stream.Reset()
		}
		if found != want {
			t.Errorf("%q: found %d times", text, found)
		}
	}
}

// BenchmarkWindow is what one search of a full window costs.
func BenchmarkWindow(b *testing.B) {
	finder := expression(b, `(?i)kernel panic|login: $`)
	finder.Feed(bytes.Repeat([]byte("[    0.123456] Linux version 6.1\r\n"), 3000))
	for b.Loop() {
		finder.Feed([]byte("x"))
	}
}
