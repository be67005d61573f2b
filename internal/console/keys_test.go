package console

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestKeys(t *testing.T) {
	for typed, want := range map[string]string{
		"ls\r":            "ls\r",
		"a\x1dqb":         "a<q>b",
		"\x1d\x1d":        "\x1d",
		"\x1d\x1d\x1db":   "\x1d<b>",
		"\x1d|q":          "<q>",
		"a\x1d|\x1d|\x1d": "a\x1d",
		"a\x1d?|b|\x1ds":  "a<?>b<s>",
		"\x1d\x03\x03":    "<\x03>\x03",
	} {
		var k keys
		var got strings.Builder
		for piece := range strings.SplitSeq(typed, "|") {
			err := k.split([]byte(piece),
				func(p []byte) error { got.Write(p); return nil },
				func(key byte) error { got.WriteString("<" + string(rune(key)) + ">"); return nil })
			if err != nil {
				t.Error(err)
			}
		}
		if got.String() != want {
			t.Errorf("%q is %q, not %q", typed, got.String(), want)
		}
	}
}

// FuzzKeys sends any bytes through, with the prefix twice, however they come in pieces.
func FuzzKeys(f *testing.F) {
	f.Add([]byte("a\x1d\x1db"), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		var k keys
		var got []byte
		typed := bytes.ReplaceAll(data, []byte{Prefix}, []byte{Prefix, Prefix})
		for rest := typed; len(rest) > 0; {
			n := min(int(size)+1, len(rest))
			err := k.split(rest[:n],
				func(p []byte) error { got = append(got, p...); return nil },
				func(byte) error { return errors.New("a command") })
			if err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if !bytes.Equal(got, data) {
			t.Errorf("%q has become %q", data, got)
		}
	})
}
