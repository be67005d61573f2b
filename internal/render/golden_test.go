package render_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"serialhub/internal/relay"
	"serialhub/internal/render"
	"serialhub/internal/watch"
)

// start is when the traffic of the tests begins: shortly before a day ends.
var start = time.Date(2026, 11, 22, 23, 59, 59, 123456789, time.UTC)

// piece is an event, or a Flush if it has no data and nothing is missed, or a Header if its data is that of header.
type piece struct {
	from   relay.Side
	data   string
	missed uint64
	after  time.Duration // the piece before
}

// flush and header stand among pieces.
var (
	flush  = piece{}
	header = piece{data: "\x00header"}
)

// show gives the pieces to a renderer, and checks how many bytes are held back then.
func show(t *testing.T, r render.Renderer, held [2]int, pieces ...piece) string {
	t.Helper()
	out := r.Header(nil)
	at := start
	var offsets [2]uint64
	for _, p := range pieces {
		switch p {
		case flush:
			out = r.Flush(out)
			continue
		case header:
			out = r.Header(out)
			continue
		}
		at = at.Add(p.after)
		data := []byte(p.data)
		e := watch.Event{From: p.from, At: at, Missed: p.missed, Offset: offsets[p.from] + p.missed, Data: data}
		offsets[p.from] = e.Offset + uint64(len(data))
		out = r.Append(out, e)
		clear(data) // nothing of it may be kept
	}
	if got := r.Held(); got != held {
		t.Errorf("%d bytes are held back, not %d", got, held)
	}
	return string(r.Flush(out))
}

type golden struct {
	name   string
	o      render.Options
	pieces []piece
	held   [2]int
	want   []string // lines
}

func (g golden) run(t *testing.T, format render.Format) {
	t.Run(g.name, func(t *testing.T) {
		want := strings.Join(g.want, "\n") + "\n"
		if len(g.want) == 0 {
			want = ""
		}
		if got := show(t, render.New(format, g.o), g.held, g.pieces...); got != want {
			t.Errorf("got:\n%swant:\n%s", got, want)
		}
	})
}

func TestHex(t *testing.T) {
	utc := render.Options{Location: time.UTC}
	for _, g := range []golden{
		{name: "a full line", o: utc, pieces: []piece{{data: "0123456789abcdef"}}, want: []string{
			"-- 2026-11-22 +00:00 --",
			"23:59:59.123456  a>b  00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|",
		}},
		{name: "bytes that come one at a time", o: utc, held: [2]int{1, 0}, pieces: append(singly("login: \r\n\x1b[0m\xff \x7f"), piece{data: "€"[1:2]}), want: []string{
			"-- 2026-11-22 +00:00 --",
			"23:59:59.123456  a>b  00000000  6c 6f 67 69 6e 3a 20 0d  0a 1b 5b 30 6d ff 20 7f  |login: ...[0m. .|",
			"23:59:59.123456  a>b  00000010  82                                                |.|",
		}},
		{name: "the other side", o: utc, held: [2]int{0, 1}, pieces: []piece{{data: "ab"}, {from: relay.B, data: "c"}}, want: []string{
			"-- 2026-11-22 +00:00 --",
			"23:59:59.123456  a>b  00000000  61 62                                             |ab|",
			"23:59:59.123456  b>a  00000000  63                                                |c|",
		}},
		{name: "the time of the first byte", o: utc, held: [2]int{2, 0}, pieces: []piece{{data: "a"}, {data: "b", after: time.Millisecond}}, want: []string{
			"-- 2026-11-22 +00:00 --",
			"23:59:59.123456  a>b  00000000  61 62                                             |ab|",
		}},
		{name: "what comes much later", o: utc, held: [2]int{1, 0}, pieces: []piece{{data: "a"}, {data: "b", after: 100 * time.Millisecond}, {data: "c", after: 101 * time.Millisecond}}, want: []string{
			"-- 2026-11-22 +00:00 --",
			"23:59:59.123456  a>b  00000000  61 62                                             |ab|",
			"23:59:59.324456  a>b  00000002  63                                                |c|",
		}},
		{name: "another day", o: utc, held: [2]int{1, 0}, pieces: []piece{{data: "a"}, flush, {data: "b", after: time.Second}}, want: []string{
			"-- 2026-11-22 +00:00 --",
			"23:59:59.123456  a>b  00000000  61                                                |a|",
			"-- 2026-11-23 +00:00 --",
			"00:00:00.123456  a>b  00000001  62                                                |b|",
		}},
		{name: "another distance from UTC", o: render.Options{Location: zone(t, "Europe/Berlin")}, held: [2]int{1, 0},
			pieces: []piece{{data: "a"}, flush, {data: "b", after: 24 * time.Hour * 126}}, want: []string{
				"-- 2026-11-23 +01:00 --",
				"00:59:59.123456  a>b  00000000  61                                                |a|",
				"-- 2027-03-29 +02:00 --",
				"01:59:59.123456  a>b  00000001  62                                                |b|",
			}},
		{name: "another file", o: utc, held: [2]int{1, 0}, pieces: []piece{{data: "a"}, flush, header, {data: "b"}}, want: []string{
			"-- 2026-11-22 +00:00 --",
			"23:59:59.123456  a>b  00000000  61                                                |a|",
			"-- 2026-11-22 +00:00 --",
			"23:59:59.123456  a>b  00000001  62                                                |b|",
		}},
		{name: "missed", o: utc, held: [2]int{0, 1}, pieces: []piece{
			{from: relay.B, data: "a"}, {from: relay.A, missed: 1}, {from: relay.B, missed: 0x123456789, data: "b"},
		}, want: []string{
			"-- 2026-11-22 +00:00 --",
			"23:59:59.123456  b>a  00000000  61                                                |a|",
			"-- 1 byte from a missed --",
			"-- 4886718345 bytes from b missed --",
			"23:59:59.123456  b>a  12345678a  62                                                |b|",
		}},
		{name: "colours", o: render.Options{Location: time.UTC, Color: true}, held: [2]int{1, 0}, pieces: []piece{{missed: 2, data: "a"}}, want: []string{
			"\x1b[1;31m-- 2 bytes from a missed --\x1b[0m",
			"\x1b[2m-- 2026-11-22 +00:00 --\x1b[0m",
			"\x1b[2m23:59:59.123456\x1b[0m  \x1b[36ma>b\x1b[0m  \x1b[2m00000002\x1b[0m  " +
				"\x1b[36m61                                                |a|\x1b[0m",
		}},
	} {
		g.run(t, render.Hex)
	}
}

// zone is a place's time.
func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Skip(err)
	}
	return l
}

// singly has every byte come alone, from a.
func singly(text string) (pieces []piece) {
	for i := range len(text) {
		pieces = append(pieces, piece{data: text[i : i+1]})
	}
	return pieces
}

func TestText(t *testing.T) {
	long := strings.Repeat("x", 4095)
	for _, g := range []golden{
		{name: "lines", o: render.Options{Timestamps: true}, pieces: []piece{{data: "one\r\ntwo\n\n"}}, want: []string{
			"2026-11-22T23:59:59.123456Z a> one",
			"2026-11-22T23:59:59.123456Z a> two",
			"2026-11-22T23:59:59.123456Z a> ",
		}},
		{name: "typed and echoed", o: render.Options{Timestamps: true}, pieces: []piece{
			{from: relay.A, data: "r"}, {from: relay.B, data: "r", after: time.Millisecond}, {from: relay.A, data: "oot\r", after: time.Millisecond},
			{from: relay.B, data: "oot\r\n", after: time.Millisecond}, {from: relay.A, data: "\n", after: time.Millisecond},
		}, want: []string{
			`2026-11-22T23:59:59.123456Z a> root\r`,
			`2026-11-22T23:59:59.124456Z b> root`,
			`2026-11-22T23:59:59.127456Z a> `,
		}},
		{name: "a console", o: render.Options{Timestamps: true}, held: [2]int{2, 0}, pieces: []piece{
			{data: "Booting \x1b[1mLinux\r\nlogin: "}, {from: relay.B, data: "root\r", after: 2222222 * time.Microsecond},
			{data: "root", after: 111111 * time.Microsecond}, {data: "\r\n", after: 1}, {missed: 4096, after: 10 * time.Millisecond, data: "# "},
		}, want: []string{ // the example in docs/watching.md
			`2026-11-22T23:59:59.123456Z a> Booting \x1b[1mLinux`,
			`2026-11-22T23:59:59.123456Z a> login: \`,
			`2026-11-23T00:00:01.345678Z b> root\r`,
			`2026-11-23T00:00:01.456789Z a+ root`,
			`2026-11-23T00:00:01.466789Z a! 4096 bytes from a missed`,
			`2026-11-23T00:00:01.466789Z a+ # \`,
		}},
		{name: "CRs", held: [2]int{5, 0}, pieces: []piece{{data: "10%\r100%\rdone\r\n\r\r\nnew\rlast\r"}, {data: "\n\rlast"}, {data: "\r"}}, want: []string{
			`a> 10%\r`, `a> 100%\r`, `a> done`, `a> \r`, `a> `, `a> new\r`, `a> last`, `a> \r`, `a> last\r`,
		}},
		{name: "a CR, and the other side", held: [2]int{2, 0}, pieces: []piece{
			{data: "ls\r"}, {from: relay.B}, {data: "\nps\r"}, {from: relay.B, data: "$ "}, {data: "\n\t\r"}, flush, {data: "x\r"}, {from: relay.B, data: ">\r", missed: 1}, {from: relay.A, data: "y\r"}, {from: relay.B, data: "z\r"},
			{data: "u\r"},
		}, want: []string{
			`a> ls`, `a> ps\r`, `a> `, `a> \t\r`, `b> $ \`, `a> x\r`, `b! 1 byte from b missed`, `b+ >\r`, `a> y\r`, `b> z\r`, `a> u\r`,
		}},
		{name: "a CR after the longest line", held: [2]int{2, 0}, pieces: []piece{{data: long + "y\rz\r" + long + "yz\r"}, {data: "w\r"}}, want: []string{
			"a> " + long + `y\r`, `a> z\r`, "a> " + long + `y\`, `a+ z\r`, `a> w\r`,
		}},
		{name: "no time", pieces: []piece{{data: "one\n"}}, want: []string{"a> one"}},
		{name: "escapes", pieces: []piece{{data: "C:\\ \t \x1b[2J\x00\x7f \xff\xc3( \u009b \u202e \u200b \U000e0041 ünï€ 🙂\n"}}, want: []string{
			`a> C:\\ \t \x1b[2J\x00\x7f \xff\xc3( \u009b \u202e \u200b \U000e0041 ünï€ 🙂`,
		}},
		{name: "two CRs before a newline", pieces: []piece{{data: "one\r\r\n"}}, want: []string{`a> one\r`, `a> `}},
		{name: "a character in pieces", pieces: singly("€🙂\n"), want: []string{"a> €🙂"}},
		{name: "a prompt", held: [2]int{0, 0}, pieces: []piece{{data: "login: "}, flush, {data: "root"}, flush, {data: "\r\n"}, {data: "ok\n"}}, want: []string{
			`a> login: \`, `a+ root\`, `a+ `, `a> ok`,
		}},
		{name: "held", held: [2]int{4, 3}, pieces: []piece{{from: relay.B, data: "x\nabc"}, {data: "y\nde", after: 1}, {data: "\xe2\x82"}}, want: []string{
			`b> x`, `a> y`, `b> abc\`, `a> de\xe2\x82\`,
		}},
		{name: "what comes much later", o: render.Options{Timestamps: true}, held: [2]int{2, 0}, pieces: []piece{
			{data: "login: "}, {from: relay.B, data: "ro", after: 600 * time.Millisecond}, {from: relay.B, data: "ot", after: time.Second},
			{data: "x", after: 100 * time.Millisecond}, {data: "y", after: time.Second},
		}, want: []string{
			`2026-11-22T23:59:59.123456Z a> login: \`,
			`2026-11-22T23:59:59.723456Z b> root\`,
			`2026-11-23T00:00:00.823456Z a+ xy\`,
		}},
		{name: "a backslash at the end", pieces: []piece{{data: "x\\\n"}}, want: []string{`a> x\\`}},
		{name: "the longest line", pieces: []piece{{data: long + "y\r\n"}}, want: []string{"a> " + long + "y"}},
		{name: "a longer line", pieces: []piece{{data: long + "yz\r\n"}}, want: []string{"a> " + long + `y\`, "a+ z"}},
		{name: "a character where a line is too long", pieces: []piece{{data: long + "€z\n"}}, want: []string{"a> " + long + `\`, "a+ €z"}},
		{name: "a long character likewise", pieces: []piece{{data: long + "🙂"}, {data: "z\n"}}, want: []string{"a> " + long + `\`, "a+ 🙂z"}},
		{name: "what is no character likewise", pieces: []piece{{data: long + "\xf0\x9f\x99z\n"}}, want: []string{"a> " + long + `\xf0\`, `a+ \x9f\x99z`}},
		{name: "a line without an end", held: [2]int{4098, 0}, pieces: []piece{{data: strings.Repeat("x", 3*4096+2)}}, want: []string{ // some may be the beginning of what is not cut
			"a> " + long + `x\`, "a+ " + long + `x\`, "a+ " + long + `x\`, `a+ xx\`,
		}},
		{name: "missed", o: render.Options{Timestamps: true}, held: [2]int{1, 1}, pieces: []piece{
			{data: "one"}, {from: relay.B, data: "t"}, {missed: 4096, data: "x\ny", after: time.Second},
		}, want: []string{
			`2026-11-22T23:59:59.123456Z a> one\`,
			`2026-11-23T00:00:00.123456Z a! 4096 bytes from a missed`,
			`2026-11-23T00:00:00.123456Z a+ x`,
			`2026-11-22T23:59:59.123456Z b> t\`,
			`2026-11-23T00:00:00.123456Z a> y\`,
		}},
		{name: "colours", o: render.Options{Timestamps: true, Color: true}, pieces: []piece{{from: relay.B, missed: 1, data: "x\n"}}, want: []string{
			"\x1b[2m2026-11-22T23:59:59.123456Z\x1b[0m \x1b[1;31mb! 1 byte from b missed\x1b[0m",
			"\x1b[2m2026-11-22T23:59:59.123456Z\x1b[0m \x1b[33mb+ x\x1b[0m",
		}},
	} {
		g.run(t, render.Text)
	}
}

func TestJSON(t *testing.T) {
	golden{pieces: []piece{{data: "login: "}, {from: relay.B, missed: 3, data: "\xff", after: time.Second}, {missed: 9}}, want: []string{
		`{"time":"2026-11-22T23:59:59.123456789Z","end":"a","offset":0,"data":"bG9naW46IA=="}`,
		`{"time":"2026-11-23T00:00:00.123456789Z","end":"b","offset":0,"missed":3}`,
		`{"time":"2026-11-23T00:00:00.123456789Z","end":"b","offset":3,"data":"/w=="}`,
		`{"time":"2026-11-23T00:00:00.123456789Z","end":"a","offset":7,"missed":9}`,
	}}.run(t, render.JSON)
}

func TestRaw(t *testing.T) {
	got := show(t, render.New(render.Raw, render.Options{}), [2]int{}, piece{data: "a\x00"}, piece{from: relay.B, data: "\xff"}, piece{missed: 7}, piece{data: "\r\n"})
	if want := "a\x00\xff\r\n"; !bytes.Equal([]byte(got), []byte(want)) {
		t.Errorf("%q, not %q", got, want)
	}
}
