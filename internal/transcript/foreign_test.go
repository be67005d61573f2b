package transcript_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"serialhub/internal/relay"
	"serialhub/internal/render"
	"serialhub/internal/testenv"
	"serialhub/internal/transcript"
	"serialhub/internal/watch"
)

// What is in a file already stays there, and keeps nothing after it from being read.
func TestGoesOn(t *testing.T) {
	const hex = "-- 2026-11-23 +01:00 --\n02:40:00.123456  b>a  00000000  42  "
	for name, test := range map[string]struct {
		format        render.Format
		before, after string // what there is then, before what is said
	}{
		"nothing":                 {render.Text, "", ""},
		"whole lines":             {render.Text, "a> before\n", "a> before\n"},
		"half a line":             {render.Text, "a> before\na> be", "a> before\na> be\n"},
		"a line with a time":      {render.Text, "2026-11-23T01:40:00.123456Z b! ", "2026-11-23T01:40:00.123456Z b! \n"},
		"half of hex":             {render.Hex, hex, hex + "\n"},
		"hex that was cut":        {render.Hex, hex[24:], hex[24:] + "\n"},
		"hex that begins missing": {render.Hex, "-- 17 bytes from a missed --\n", "-- 17 bytes from a missed --\n"},
		"bytes":                   {render.Raw, "a> be", "a> be"},
		"bytes like a capture's":  {render.Raw, "\n\r\r\nlogin: root\r\n", "\n\r\r\nlogin: root\r\n"},
		"an object":               {render.JSON, "{\"time\":1}\n", "{\"time\":1}\n"},
		"half of one":             {render.JSON, "{\"time\":1}\n{\"time\":", "{\"time\":1}\n{\"time\":\n"},
		"only half":               {render.JSON, "{\"time\":", "{\"time\":\n"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := testenv.Dir(t)
			testenv.WriteFile(t, dir+"/dbg.log", test.before)
			l := start(t, transcript.Config{Path: dir + "/dbg.log", Format: test.format})
			l.say(relay.A, "hello\n")
			l.end()
			got, goes := strings.CutPrefix(read(t, dir+"/dbg.log"), test.after)
			if !goes || got == "" || strings.HasPrefix(got, "\n") {
				t.Errorf("%q after %q", got, test.after)
			}
			if files := glob(t, dir, "*"); len(files) != 1 {
				t.Errorf("%q", files)
			}
		})
	}
}

// A file of one format is not gone on with in another one, but set aside as it is; the same holds for any file that was never the hub's.
func TestSetsForeignFilesAside(t *testing.T) {
	formats := []render.Format{render.Text, render.Hex, render.JSON, render.PCAPNG, render.Raw}
	const users render.Format = "a user's"
	for _, before := range append(formats, users) {
		for _, format := range formats {
			if before == format || format == render.Raw && before != render.PCAPNG {
				continue // raw may be anything
			}
			t.Run(string(before+" to "+format), func(t *testing.T) {
				dir := testenv.Dir(t)
				c := transcript.Config{Path: dir + "/dbg.log", Format: before}
				if before == users {
					c.Format = render.Raw
				}
				l := start(t, c)
				l.say(relay.A, "before\nhalf")
				l.cancel(nil)
				l.wait()
				if before == users {
					testenv.WriteFile(t, c.Path, "line 1\nimportant without newline")
				}
				was := read(t, c.Path)
				c.Format, c.MaxSize, c.Keep, c.Compress = format, 4096, 1, "gzip"
				var log strings.Builder
				l.log = slog.New(slog.NewTextHandler(&log, nil))
				l.run(c, l.tape.From(l.mark()))
				for range 20 { // more than what is kept
					l.say(relay.B, strings.Repeat("hello", 300)+"\n")
				}
				l.end()
				aside := glob(t, dir, "dbg-*-foreign.log")
				if len(aside) != 1 || read(t, aside[0]) != was {
					t.Fatalf("%q", aside)
				}
				for _, word := range []string{"level=WARN", c.Path, aside[0], string(format)} {
					if !strings.Contains(log.String(), word) {
						t.Errorf("%s is not in the log: %s", word, &log)
					}
				}
				if strings.Contains(read(t, c.Path), "before") {
					t.Errorf("%q", read(t, c.Path))
				}
				if format == render.PCAPNG {
					packets(t, read(t, c.Path))
				}
			})
		}
	}
}

// A capture that does not end with a whole block is set aside as it is, because nothing that comes after that could be read.
func TestSetsHalfCapturesAside(t *testing.T) {
	dir := testenv.Dir(t)
	path := filepath.Join(dir, "dbg.pcapng")
	write := func(text string) {
		l := start(t, transcript.Config{Path: path, Format: render.PCAPNG})
		l.say(relay.A, text)
		l.end()
	}
	write("one")
	whole := read(t, path)
	for cut := 1; cut < 60; cut += 7 {
		before := whole + whole[:len(whole)-cut]
		testenv.WriteFile(t, path, before)
		write("two")
		if got := packets(t, read(t, path)); strings.Join(got, " ") != "two" {
			t.Fatalf("cut by %d: %q", cut, got)
		}
		aside := glob(t, dir, "dbg-*-foreign.pcapng")
		if len(aside) != 1 || read(t, aside[0]) != before {
			t.Fatalf("cut by %d: %q", cut, aside)
		}
		if err := os.Remove(aside[0]); err != nil {
			t.Fatal(err)
		}
	}
	testenv.WriteFile(t, path, whole)
	write("two")
	if got := packets(t, read(t, path)); strings.Join(got, " ") != "one two" {
		t.Errorf("%q", got)
	}
}

// What a process that was killed has written after its mark is taken back, in any format; but only in the very file of the mark.
func TestTakesBack(t *testing.T) {
	for _, format := range []render.Format{render.Text, render.Hex, render.JSON, render.PCAPNG, render.Raw} {
		for _, same := range []bool{true, false} {
			name := string(format)
			if !same {
				name += ", another file"
			}
			t.Run(name, func(t *testing.T) {
				path := testenv.Dir(t) + "/dbg.log"
				c := transcript.Config{Path: path, Format: format}
				l := start(t, c)
				l.say(relay.A, "before\n")
				l.cancel(nil)
				l.wait()
				whole := read(t, path)
				var stat unix.Stat_t
				if err := unix.Stat(path, &stat); err != nil {
					t.Fatal(err)
				}
				if !same {
					if err := os.Rename(path, path+".1"); err != nil { // so that its number is not used again
						t.Fatal(err)
					}
				}
				testenv.WriteFile(t, path, whole+whole[:len(whole)-5])
				l.left = watch.Mark{Written: [2]watch.Written{{Device: stat.Dev, Inode: stat.Ino, Size: uint64(len(whole))}}}
				l.run(c, l.tape.From(l.mark()))
				l.say(relay.A, "after\n")
				l.end()
				got := strings.Join(append(glob(t, path+"-*"), glob(t, strings.TrimSuffix(path, ".log")+"-*")...), "")
				if got != "" {
					got = read(t, got)
				}
				got += read(t, path)
				if cut := !strings.HasPrefix(got, whole+whole[:len(whole)-5]); cut != same || !strings.HasPrefix(got, whole) {
					t.Errorf("%q after %q", got, whole)
				}
			})
		}
	}
}
