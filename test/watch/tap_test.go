package watch

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// say has a peer say something.
func say(t *testing.T, peer net.Conn, text string) {
	t.Helper()
	peer.SetWriteDeadline(time.Now().Add(patience))
	if _, err := peer.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// hear has a peer hear exactly a text.
func hear(t *testing.T, peer net.Conn, text string) {
	t.Helper()
	peer.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(text))
	if n, err := io.ReadFull(peer, got); err != nil || string(got) != text {
		t.Fatalf("a peer heard %d bytes, %.200q, %v; want %d, %.200q", n, got[:n], err, len(text), text)
	}
}

// tell has one peer say something, and the other one hear it.
func tell(t *testing.T, from, to net.Conn, text string) {
	t.Helper()
	say(t, from, text)
	hear(t, to, text)
}

// garbage is a text of so many random bytes.
func garbage(n int) string {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	return string(data)
}

// chat has both peers say random bytes at the same time, in pieces, and returns what they have said.
func chat(t *testing.T, a, b net.Conn, size int) map[string]string {
	t.Helper()
	said := map[string]string{"a": garbage(size), "b": garbage(size)}
	var running sync.WaitGroup
	for end, peer := range map[string]net.Conn{"a": a, "b": b} {
		running.Go(func() {
			peer.SetWriteDeadline(time.Now().Add(patience))
			for text := said[end]; len(text) > 0; {
				n := min(1+rand.IntN(3000), len(text))
				if _, err := io.WriteString(peer, text[:n]); err != nil {
					t.Error(err)
					return
				}
				text = text[n:]
			}
		})
		other := map[string]string{"a": "b", "b": "a"}[end]
		running.Go(func() {
			heard := make([]byte, size)
			peer.SetReadDeadline(time.Now().Add(patience))
			if _, err := io.ReadFull(peer, heard); err != nil || string(heard) != said[other] {
				t.Errorf("end %s heard other bytes than were said: %v", end, err)
			}
		})
	}
	running.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return said
}

// Ten watchers see the same, whatever the format and the way; and those of one end see what its peer says.
func TestTenTaps(t *testing.T) {
	const size = 300_000
	h := startHub(t, link("scrollback: 1MiB"))
	a, b := h.dialBoth()
	tell(t, a, b, "a")
	tell(t, b, a, "b")
	var streams []*events
	var raw []io.Reader
	var commands []*command
	for range 4 {
		streams = append(streams, newEvents(h.stream("format=json&since_start")))
	}
	for _, end := range []string{"a", "b"} {
		raw = append(raw, h.stream("format=raw&since_start&end="+end))
		for _, format := range []string{"json", "raw"} {
			c := h.tap("--format", format, "--since-start", "--end", end)
			c.shows("what was said", func(text string) bool { return text != "" })
			commands = append(commands, c)
		}
	}
	said := chat(t, a, b, size)
	said["a"], said["b"] = "a"+said["a"], "b"+said["b"]
	var order []event
	for _, s := range streams {
		got, in, err := s.all(map[string]int{"a": size + 1, "b": size + 1})
		if err != nil {
			t.Fatal(err)
		}
		if got["a"] != said["a"] || got["b"] != said["b"] {
			t.Error("a watcher sees other bytes than were said")
		}
		if order == nil {
			order = in
		}
		if fmt.Sprint(in) != fmt.Sprint(order) {
			t.Error("two watchers do not see the same")
		}
	}
	for i, end := range []string{"a", "b"} {
		got := make([]byte, size+1)
		if _, err := io.ReadFull(raw[i], got); err != nil || string(got) != said[end] {
			t.Errorf("of end %s a stream shows other bytes than were said: %v", end, err)
		}
		lines, bytes := commands[2*i], commands[2*i+1]
		bytes.shows("what was said", func(text string) bool { return text == said[end] })
		var got2 map[string]string
		lines.shows("what was said", func(text string) bool {
			got2, _, _ = newEvents(strings.NewReader(text)).all(map[string]int{end: size + 1})
			return len(got2[end]) == size+1
		})
		if got2[end] != said[end] || len(got2) != 1 {
			t.Errorf("of end %s a tap shows other bytes than were said", end)
		}
	}
}

// What one peer says as an answer is shown after what it answers, and never earlier by the clock.
func TestOrderAcrossDirections(t *testing.T) {
	h := startHub(t, link())
	a, b := h.dialBoth()
	stream := newEvents(h.stream("format=json"))
	const rounds = 1000
	var want, got strings.Builder
	for n := range rounds {
		ping, pong := fmt.Sprintf("ping %04d;", n), fmt.Sprintf("pong %04d;", n)
		tell(t, a, b, ping)
		tell(t, b, a, pong)
		want.WriteString(ping + pong)
	}
	begin := time.Time{}
	for got.Len() < want.Len() {
		next, err := stream.next()
		if err != nil {
			t.Fatal(err)
		}
		if next.Missed > 0 || next.Time.Before(begin) {
			t.Fatalf("after %s comes %+v", begin, next)
		}
		begin = next.Time
		got.Write(next.Data)
	}
	if got.String() != want.String() {
		t.Errorf("the watcher saw another order:\n%s", got.String())
	}
	if age := time.Since(begin); age < 0 || age > patience {
		t.Errorf("the last word was said %s ago", age)
	}
}

// The scrollback has exactly the newest bytes, of both directions in their order.
func TestScrollback(t *testing.T) {
	const kept = 64 << 10
	h := startHub(t, link("scrollback: 64KiB"))
	a, b := h.dialBoth()
	if out := h.must("tap", "dbg", "--format", "raw", "--since-start", "--no-follow"); out != "" {
		t.Errorf("before anything was said there is %q", out)
	}
	all := ""
	for len(all) < 5*kept {
		one, other := garbage(1+rand.IntN(9000)), garbage(1+rand.IntN(100))
		tell(t, a, b, one)
		tell(t, b, a, other)
		all += one + other
	}
	newest := func(n int) string { return all[len(all)-n:] }
	for _, test := range []struct {
		arguments []string
		want      string
	}{
		{[]string{"--since-start"}, newest(kept)},
		{[]string{"-n", "4KiB"}, newest(4096)},
		{[]string{"-n", "1"}, newest(1)},
		{[]string{"-n", "64KiB"}, newest(kept)},
		{[]string{"-n", "1GiB"}, newest(kept)},
		{[]string{"-n", "0"}, ""},
		{nil, newest(kept)},
	} {
		out := h.must(append([]string{"tap", "dbg", "--format", "raw", "--no-follow"}, test.arguments...)...)
		if out != test.want {
			t.Errorf("%v: %d bytes, which are not the newest %d", test.arguments, len(out), len(test.want))
		}
	}
	read := func(query string) string {
		got, err := io.ReadAll(h.stream(query))
		if err != nil {
			t.Errorf("%s: %v", query, err)
		}
		return string(got)
	}
	if got := read("format=raw&since_start=true&follow=false"); got != newest(kept) {
		t.Errorf("the stream has %d bytes, which are not the newest", len(got))
	}
	said, _, err := parts(read("format=json&n=4KiB&follow=false"))
	if err != nil || len(said["a"])+len(said["b"]) != 4096 {
		t.Errorf("json has %d and %d bytes, %v", len(said["a"]), len(said["b"]), err)
	}
	// What follows goes on where the scrollback ends.
	follows := h.stream("format=raw&n=4KiB")
	tell(t, a, b, "and on it goes")
	got := make([]byte, 4096+14)
	if _, err := io.ReadFull(follows, got); err != nil || string(got) != newest(4096)+"and on it goes" {
		t.Errorf("what follows is not what was said: %v", err)
	}
}

// The scrollback changes with the config, and neither peers nor watchers notice.
func TestScrollbackByReload(t *testing.T) {
	const none = "none"
	for _, watched := range []bool{false, true} {
		h := startHub(t, link())
		a, b := h.dialBoth()
		var stream io.Reader
		if watched {
			stream = h.stream("format=raw")
		}
		for _, step := range []struct{ keys, says, kept string }{
			{"disabled: false", "1", none},
			{"scrollback: 64KiB", "2", "2"},
			{"scrollback: 4KiB", "3", "23"},
			{"scrollback: 0", "4", none},
			{"scrollback: 1MiB", "5", "5"},
		} {
			h.reload(link(step.keys))
			tell(t, a, b, step.says)
			if watched {
				hearStream(t, stream, step.says)
			}
			if step.kept == none {
				if _, errs, code := h.run("tap", "dbg", "--since-start", "--no-follow"); code != 1 || errs != "serialhub: link dbg keeps nothing to show; with scrollback: 64KiB in its config it does\n" {
					t.Errorf("without scrollback it says %q, and ends with %d", errs, code)
				}
				continue
			}
			got := h.must("tap", "dbg", "--format", "raw", "--since-start", "--no-follow")
			// What was kept for a watcher may be there still.
			if watched {
				got = got[max(0, len(got)-len(step.kept)):]
			}
			if got != step.kept {
				t.Errorf("with %s there is %q, want %q", step.keys, got, step.kept)
			}
		}
	}
}

// parts takes a whole text of the format json apart.
func parts(text string) (said map[string]string, missed int64, err error) {
	said = map[string]string{}
	e := newEvents(strings.NewReader(text))
	for {
		next, err := e.next()
		if err != nil {
			if text == "" || strings.HasSuffix(text, "\n") && e.lines.Err() == nil && err.Error() == io.EOF.Error() {
				err = nil
			}
			return said, missed, err
		}
		said[next.End] += string(next.Data)
		missed += next.Missed
	}
}
