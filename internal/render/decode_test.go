package render_test

import (
	"encoding/hex"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// run is what one side has said without a gap, from an offset on.
type run struct {
	offset uint64
	data   []byte
}

// heard is what both sides have said.
type heard [2][]run

// add adds what a side has said; missed bytes come before it.
func (h *heard) add(side int, offset uint64, data string) {
	runs := h[side]
	if n := len(runs); n > 0 && runs[n-1].offset+uint64(len(runs[n-1].data)) == offset {
		runs[n-1].data = append(runs[n-1].data, data...)
		return
	}
	h[side] = append(runs, run{offset, []byte(data)})
}

// plain takes the colours off.
var plain = regexp.MustCompile(`\x1b\[(0|2|33|36|1;31)m`)

// lines are the lines of what has been rendered, without their colours.
func lines(t *testing.T, out []byte) []string {
	t.Helper()
	text := plain.ReplaceAllString(string(out), "")
	if text == "" {
		return nil
	}
	text, ended := strings.CutSuffix(text, "\n")
	if !ended {
		t.Errorf("it ends in the middle of a line: %q", text)
	}
	return strings.Split(text, "\n")
}

func number(t *testing.T, text string, base int) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(text, base, 64)
	if err != nil {
		t.Error(err)
	}
	return n
}

// notice is what the people's formats say of missed bytes.
var notice = regexp.MustCompile(`^(\d+) bytes? from ([ab]) missed$`)

var hexLine = regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d{6}  ([ab])>[ab]  ([0-9a-f]{8,})  (.{49}) \|(.{1,16})\|$`)

// readHex reads back what Hex has shown.
func readHex(t *testing.T, out []byte) (h heard) {
	t.Helper()
	for _, line := range lines(t, out) {
		if inner, found := strings.CutPrefix(line, "-- "); found {
			inner = strings.TrimSuffix(inner, " --")
			if _, err := time.Parse("2006-01-02 -07:00", inner); err != nil && !notice.MatchString(inner) {
				t.Errorf("neither a day nor a gap: %q", line)
			}
			continue
		}
		m := hexLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("no line of hex: %q", line)
		}
		data, err := hex.DecodeString(strings.ReplaceAll(m[3], " ", ""))
		if err != nil || len(data) != len(m[4]) {
			t.Fatalf("%q: %v", line, err)
		}
		h.add(int(m[1][0]-'a'), number(t, m[2], 16), string(data))
	}
	return h
}

// readJSON reads back what JSON has written.
func readJSON(t *testing.T, out []byte) (h heard) {
	t.Helper()
	var next [2]uint64
	for _, line := range lines(t, out) {
		var o struct {
			Time   time.Time
			End    string
			Offset uint64
			Data   []byte
			Missed uint64
		}
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&o); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		side := slices.Index([]string{"a", "b"}, o.End)
		if side < 0 || o.Time.IsZero() || (len(o.Data) > 0) == (o.Missed > 0) || o.Offset != next[side] {
			t.Fatalf("%q", line)
		}
		next[side] += uint64(len(o.Data)) + o.Missed
		if o.Missed == 0 {
			h.add(side, o.Offset, string(o.Data))
		}
	}
	return h
}

var textLine = regexp.MustCompile(`^(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z )?([ab])([>+!]) (.*)$`)

// readText reads back what Text has written. The CRs that it has left out are not counted in the offsets, so these are only ordered.
func readText(t *testing.T, out []byte) (h heard) {
	t.Helper()
	var next [2]uint64
	var goesOn [2]bool
	for _, line := range lines(t, out) {
		m := textLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("no line of text: %q", line)
		}
		side, mark, said := int(m[1][0]-'a'), m[2], m[3]
		if mark == "!" {
			gap := notice.FindStringSubmatch(said)
			if gap == nil || gap[2] != m[1] {
				t.Fatalf("no gap: %q", line)
			}
			next[side] += number(t, gap[1], 10)
			goesOn[side] = true
			continue
		}
		if goesOn[side] != (mark == "+") {
			t.Errorf("the mark is wrong: %q", line)
		}
		var data string
		data, goesOn[side] = unescape(t, said)
		if !goesOn[side] && !strings.HasSuffix(data, "\r") {
			data += "\n"
		}
		h.add(side, next[side], data)
		next[side] += uint64(len(data))
	}
	return h
}

// unescape undoes the escapes, and tells of a backslash that stands alone at the end.
func unescape(t *testing.T, text string) (data string, goesOn bool) {
	t.Helper()
	var b strings.Builder
	for text != "" {
		if text == `\` {
			return b.String(), true
		}
		if text[0] != '\\' {
			b.WriteByte(text[0])
			text = text[1:]
			continue
		}
		c, multibyte, rest, err := strconv.UnquoteChar(text, 0)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if multibyte {
			b.WriteRune(c)
		} else {
			b.WriteByte(byte(c))
		}
		text = rest
	}
	return b.String(), false
}
