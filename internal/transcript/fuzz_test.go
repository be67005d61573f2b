package transcript_test

import (
	"os"
	"strings"
	"testing"

	"serialhub/internal/relay"
	"serialhub/internal/render"
	"serialhub/internal/testenv"
	"serialhub/internal/transcript"
)

// Whatever is in a file already is still there, where it was or in a file that is set aside.
func FuzzForeign(f *testing.F) {
	f.Add("", 0)
	f.Add("a> half", 1)
	f.Add("{\"time\"", 2)
	f.Add("{\"time\":1}\n{\"time", 2)
	f.Add("\n\r\r\n\x1c\x00\x00\x00\x4d\x3c\x2b\x1a\x01\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x1c\x00\x00\x00", 3)
	f.Add("\n\r\r\n\x00\x00\x00\x00", 3)
	f.Add("\n\r\r\n\xff\xff\xff\xff\xff\xff\xff\xff", 3)
	formats := []render.Format{render.Raw, render.Text, render.JSON, render.PCAPNG}
	f.Fuzz(func(t *testing.T, before string, n int) {
		format := formats[uint(n)%uint(len(formats))]
		path := testenv.Dir(t) + "/dbg"
		testenv.WriteFile(t, path, before)
		l := start(t, transcript.Config{Path: path, Format: format})
		l.say(relay.A, "hello\n")
		l.end()
		after := read(t, path)
		if len(l.reports) > 0 || after == "" {
			t.Errorf("%q, %v", after, l.reports)
		}
		aside := glob(t, path+"-*")
		if len(aside) > 0 {
			if whole, err := os.ReadFile(aside[0]); err != nil || string(whole) != before || len(aside) > 1 {
				t.Errorf("%q: %q, %v", aside, whole, err)
			}
			before = ""
		}
		if !strings.HasPrefix(after, before) {
			t.Errorf("%q after %q", after, before)
		}
		if format == render.Raw || format == render.Text {
			if before != "" && format == render.Text {
				before = strings.TrimSuffix(before, "\n") + "\n"
			}
			if after != before+map[render.Format]string{render.Raw: "", render.Text: "a> "}[format]+"hello\n" {
				t.Errorf("%q after %q", after, before)
			}
		}
	})
}
