package render_test

import (
	"bytes"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"serialhub/internal/relay"
	"serialhub/internal/render"
	"serialhub/internal/watch"
)

// traffic makes events of data. Each byte of the plan says how one of them is cut off: its side, its length, and whether bytes were missed before it, or
// whether what is held back is flushed, or nothing comes for long, as if it were. What is left goes to a. It tells whether a line may have been
// cut between a CR and a newline.
func traffic(data, plan []byte) (events []watch.Event, flushed bool) {
	at := start
	var offsets [2]uint64
	var cr [2]bool // what a side has said ends with one
	put := func(side relay.Side, n int, missed uint64) {
		e := watch.Event{From: side, At: at, Missed: missed, Offset: offsets[side] + missed, Data: data[:n]}
		offsets[side], data = e.Offset+uint64(n), data[n:]
		flushed = flushed || cr[side.Other()] && n > 0
		cr[side] = bytes.HasSuffix(e.Data, []byte{'\r'}) || cr[side] && n == 0
		events = append(events, e)
		at = at.Add(1234567 * time.Nanosecond)
	}
	for _, p := range plan {
		n, missed := int(p>>1&15), uint64(0)
		switch p >> 5 {
		case 1:
			n *= 1111
		case 2:
			missed = uint64(n) * 3333
		case 3:
			events, flushed = append(events, watch.Event{}), true
			continue
		case 4:
			at, flushed = at.Add(time.Duration(n)*time.Second/5), true
			continue
		}
		put(relay.Side(p&1), min(n, len(data)), missed)
	}
	put(relay.A, len(data), 0)
	return events, flushed
}

// rendered shows the events; an empty one is a Flush. If there is a way to read back what is shown, it compares that with what is held back.
func rendered(t *testing.T, r render.Renderer, read func(*testing.T, []byte) heard, events []watch.Event) []byte {
	t.Helper()
	out := r.Header(nil)
	for _, e := range events {
		if e.At.IsZero() {
			out = r.Flush(out)
			if held := r.Held(); held != [2]int{} {
				t.Errorf("%d bytes are still held back", held)
			}
			continue
		}
		e.Data = bytes.Clone(e.Data)
		out = r.Append(out, e)
		clear(e.Data)
	}
	if read != nil {
		accounted(t, read(t, out), r.Held(), events)
	}
	return r.Flush(out)
}

// accounted fails the test if other bytes are said to be held back than those that have not been shown. It cannot tell if CRs are left out.
func accounted(t *testing.T, shown heard, held [2]int, events []watch.Event) {
	t.Helper()
	var left [2]int
	for _, e := range events {
		if left[e.From] += len(e.Data); bytes.Contains(e.Data, []byte{'\r'}) {
			return
		}
	}
	for side, runs := range shown {
		for _, r := range runs {
			left[side] -= len(r.data)
		}
	}
	if left != held {
		t.Errorf("%d bytes are not shown, and %d held back", left, held)
	}
}

// singles are the same events, with every byte in one of its own.
func singles(events []watch.Event) (all []watch.Event) {
	for _, e := range events {
		whole := e
		for e.Data = nil; len(whole.Data) > 0; whole.Data = whole.Data[1:] {
			e.Data = whole.Data[:1]
			all = append(all, e)
			e.Missed, e.Offset = 0, e.Offset+1
		}
		if whole.Missed > 0 && e.Missed > 0 {
			all = append(all, e)
		}
	}
	return all
}

// said is what the events say, as the decoders tell it.
func said(events []watch.Event) (h heard) {
	for _, e := range events {
		if len(e.Data) > 0 {
			h.add(int(e.From), e.Offset, string(e.Data))
		}
	}
	return h
}

// withoutCRs is what each run is without the CRs that Text leaves out.
func withoutCRs(h heard, all bool) (texts [2][]string) {
	before := regexp.MustCompile(`\r\n`)
	if all {
		before = regexp.MustCompile(`\r+\n`)
	}
	for side, runs := range h {
		for _, r := range runs {
			texts[side] = append(texts[side], before.ReplaceAllString(string(r.data), "\n"))
		}
	}
	return texts
}

// data is what each run is.
func data(h heard) (texts [2][]string) {
	for side, runs := range h {
		for _, r := range runs {
			texts[side] = append(texts[side], string(r.data))
		}
	}
	return texts
}

// safe fails the test if a terminal could be told anything.
func safe(t *testing.T, out []byte, color bool) {
	t.Helper()
	if color {
		out = plain.ReplaceAll(out, nil)
	}
	if !utf8.Valid(out) {
		t.Errorf("not UTF-8: %q", out)
	}
	for _, r := range string(out) {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("%q came out", r)
		}
	}
}

// FuzzRender has any bytes come in any pieces: nothing but printable characters comes out, and all of it can be read back.
func FuzzRender(f *testing.F) {
	f.Add([]byte("login: root\r\nPassword: \x1b]0;x\x07\r\n"), []byte{0x02, 0x05, 0x60, 0x46})
	f.Add([]byte("€\r\r\n🙂\u202e\\\xff\x00"), []byte{0x02, 0x02, 0x02, 0x02, 0x60, 0x03, 0x5f})
	f.Add([]byte("login: root\r\nls\r\n"), []byte{0x0e, 0x9c, 0x0b, 0x81, 0x06})
	f.Add([]byte(strings.Repeat("a long line 🙂 ", 700)), []byte{0x22, 0x23, 0x24, 0x60, 0x3e})
	f.Fuzz(func(t *testing.T, wire, plan []byte) {
		if len(wire) > 10_000 || len(plan) > 100 {
			return
		}
		events, flushed := traffic(wire, plan)
		want := said(events)
		for _, color := range []bool{false, true} {
			o := render.Options{Link: "dbg", Color: color, Timestamps: color, Location: time.UTC}
			for _, events := range [][]watch.Event{events, singles(events)} {
				out := rendered(t, render.New(render.Hex, o), readHex, events)
				safe(t, out, color)
				if got := readHex(t, out); !reflect.DeepEqual(got, want) {
					t.Errorf("hex has %q of %q:\n%s", data(got), data(want), out)
				}
				out = rendered(t, render.New(render.JSON, o), readJSON, events)
				safe(t, out, false)
				if got := readJSON(t, out); !reflect.DeepEqual(got, want) {
					t.Errorf("json has %q of %q:\n%s", data(got), data(want), out)
				}
				out = rendered(t, render.New(render.Text, o), readText, events)
				safe(t, out, color)
				got, texts := data(readText(t, out)), withoutCRs(want, false)
				if flushed { // a CR that was flushed is shown, whatever follows
					got, texts = withoutCRs(readText(t, out), true), withoutCRs(want, true)
				}
				if !reflect.DeepEqual(got, texts) {
					t.Errorf("text has %q of %q:\n%s", got, texts, out)
				}
			}
		}
		if !flushed { // then each side's lines do not depend on how they came
			one, other := render.New(render.Text, render.Options{}), render.New(render.Text, render.Options{})
			for _, side := range []string{"a", "b"} {
				whole, apart := bySide(rendered(t, one, nil, events), side), bySide(rendered(t, other, nil, singles(events)), side)
				if whole != apart {
					t.Errorf("%s, whole:\n%s\nin single bytes:\n%s", side, whole, apart)
				}
			}
		}
		for _, format := range []render.Format{render.Raw, render.PCAPNG} {
			out := rendered(t, render.New(format, render.Options{Link: "dbg"}), nil, events)
			if format == render.Raw && !bytes.Equal(out, wire) {
				t.Errorf("raw has %q of %q", out, wire)
			}
		}
	})
}

// bySide are a side's lines.
func bySide(out []byte, side string) string {
	var of strings.Builder
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, side) {
			fmt.Fprint(&of, line)
		}
	}
	return of.String()
}
