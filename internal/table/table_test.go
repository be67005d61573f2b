package table_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/mattn/go-runewidth"

	"serialhub/internal/rest"
	"serialhub/internal/table"
)

var update = flag.Bool("update", false, "write what is shown into testdata")

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// golden compares a text with that of a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not as in %s (go test -update makes it so):\n%s", t.Name(), path, got)
	}
}

func ago(d time.Duration) time.Time { return now.Add(-d) }

func local(pid int, command, vm string) *rest.Peer {
	uid, gid := 64055, 108
	return &rest.Peer{PID: &pid, UID: &uid, GID: &gid, Command: command, VM: vm}
}

// link makes one whose ends listen; a peer that is nil is nobody.
func link(name string, state rest.LinkState, since time.Duration, a, b *rest.Peer, crossed ...uint64) rest.Link {
	l := rest.Link{Name: name, State: state, Since: ago(since), Ends: map[string]rest.End{}}
	for i, peer := range []*rest.Peer{a, b} {
		end := rest.End{Address: "unix:/run/serialhub/" + name + "-" + string("ab"[i]), Mode: rest.ModeListen, State: rest.EndWaiting, Since: ago(since), Path: rest.PathSplice}
		if peer != nil {
			end.State, end.Peer, end.Connections = rest.EndConnected, peer, 1
		}
		if len(crossed) == 2 {
			end.ReceivedBytes, end.SentBytes = crossed[i], crossed[1-i]
		}
		l.Ends["ab"[i:i+1]] = end
	}
	return l
}

func (c change) of(l rest.Link) rest.Link { c(&l); return l }

type change func(*rest.Link)

func failed(end, message string) change {
	return func(l *rest.Link) {
		l.LastError = &rest.LastError{At: ago(5 * time.Second), End: end, Message: message}
	}
}

func atEnd(name string, change func(*rest.End)) change {
	return func(l *rest.Link) {
		end := l.Ends[name]
		change(&end)
		l.Ends[name] = end
	}
}

func kinds() []rest.Link {
	qemu := local(4711, "qemu-system-i386", "win7-debugger")
	tls := &rest.Peer{Address: "[2001:db8::17]:51234", Subject: "CN=lab7"}
	queued := atEnd("a", func(e *rest.End) { e.Queued = []rest.Peer{*local(9, "gdb", ""), *local(10, "gdb", "")} })
	return []rest.Link{
		link("dbg", rest.LinkUp, 3*24*time.Hour, qemu, local(812345, "qemu-system-x86_64", ""), 1234, 5<<30),
		queued.of(link("busy", rest.LinkUp, 62*time.Minute, local(22, "gdb", ""), tls, 0, 1023)),
		link("half", rest.LinkHalf, 5*time.Minute, nil, local(0, "", ""), 0, 1<<20),
		atEnd("b", func(e *rest.End) { e.State, e.Mode, e.Address = rest.EndConnected, rest.ModeDevice, "/dev/ttyUSB0" }).of(
			link("serial", rest.LinkHalf, time.Second, nil, nil)),
		link("alone", rest.LinkWaiting, 59*time.Second, nil, nil),
		link("new", rest.LinkStarting, 300*time.Millisecond, nil, nil),
		failed("b", "tcp:lab7:4555: connection refused; start what listens there, or correct the address").of(link("far", rest.LinkRetrying, 23*time.Hour, qemu, nil)),
		failed("", "it failed 5 times in a row").of(link("broken", rest.LinkFailed, 400*24*time.Hour, nil, nil, 1<<62, 1<<50)),
		failed("a", "long ago").of(link("held", rest.LinkStopped, -time.Minute, nil, nil)),
		link("tomorrow", "daydreaming", time.Minute, nil, nil),
		{Name: "bare", State: rest.LinkWaiting, Since: ago(time.Minute), Ends: map[string]rest.End{}},
	}
}

// hostile is what a guest, a peer or a config of somebody else may be called.
const hostile = "\x1b]2;owned\x07\x1b[2J\r\nroot# \x9b31m\u009b2J\u202etxt.exe\u200b\xff\\"

func TestLinks(t *testing.T) {
	many := make([]rest.Link, 300)
	for i := range many {
		many[i] = link(fmt.Sprintf("vm%03d", i), rest.LinkUp, time.Duration(i)*time.Minute, local(1000+i, "qemu-system-x86_64", fmt.Sprintf("guest-%03d", i)), local(3, "gdb", ""), uint64(i*i*i), uint64(i))
	}
	tables := map[string][]rest.Link{
		"none":  {},
		"one":   kinds()[:1],
		"kinds": kinds(),
		"many":  many,
		"long": {
			link(strings.Repeat("long-name.", 6)+"abc", rest.LinkUp, time.Hour, local(4194304, strings.Repeat("x", 15), "a-guest-with-a-very-long-name-that-somebody-thought-of"),
				&rest.Peer{Address: "[2001:0db8:85a3:0000:0000:8a2e:0370:7334]:65535"}, 1023<<10, 1023<<20),
			link("short", rest.LinkRetrying, time.Hour, nil, nil),
		},
		"wide": {
			link("dbg", rest.LinkUp, time.Hour, local(1, "qemu", "仮想マシン一号機"), local(2, "qemu", "ゲスト"), 1, 2),
			link("combined", rest.LinkUp, time.Hour, local(3, "qemu", "cafe\u0301-nai\u0308ve"), local(4, "qemu", "🙂🙂🙂"), 3, 4),
		},
		"hostile": {
			failed("a\x1b", hostile).of(link(hostile, rest.LinkFailed, time.Hour, local(1, hostile, ""), local(2, "", hostile))),
			link("x", "\x1b[31mup", time.Hour, &rest.Peer{Address: hostile}, nil),
		},
	}
	for name, links := range tables {
		t.Run(name, func(t *testing.T) {
			var all strings.Builder
			for _, width := range []int{0, 20, 60, 80, 120, 200} {
				lines := table.Style{Width: width, Now: now}.Links(links, nil)
				if name == "many" {
					lines = append(lines[:3], lines[len(lines)-2:]...)
				}
				show(t, &all, width, lines)
			}
			golden(t, name, all.String())
		})
	}
}

// show writes lines for so many cells, and looks that they are not wider, and that a terminal obeys nothing of them.
func show(t *testing.T, all *strings.Builder, width int, lines []string) {
	t.Helper()
	fmt.Fprintf(all, "--- %d\n%s\n", width, strings.Join(lines, "\n"))
	for _, line := range lines {
		if cells := runewidth.StringWidth(line); width > 0 && cells > width {
			t.Errorf("%d cells, of %d: %s", cells, width, line)
		}
		if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
			t.Errorf("it may not be shown as it is: %q", line)
		}
	}
}

func TestRates(t *testing.T) {
	var meter table.Meter
	links := kinds()
	if got := meter.Look("1", now, links[1:]); len(got) != 0 {
		t.Errorf("rates of a first look: %v", got)
	}
	later := kinds()
	for i := range later {
		atEnd("b", func(e *rest.End) { e.SentBytes += uint64(i) << 20 })(&later[i])
		atEnd("a", func(e *rest.End) { e.SentBytes += uint64(i) })(&later[i])
	}
	later[7].Ends["a"] = rest.End{} // its counters have begun anew
	rates := meter.Look("1", now.Add(2*time.Second), later)
	var all strings.Builder
	for _, width := range []int{0, 60, 80, 120, 200} {
		show(t, &all, width, table.Style{Width: width, Now: now}.Links(later, rates))
	}
	golden(t, "rates", all.String())
	if got := meter.Look("2", now.Add(3*time.Second), later); len(got) != 0 {
		t.Errorf("rates across two processes: %v", got)
	}
}

func TestLink(t *testing.T) {
	full := kinds()[1]
	failed("b", "connection reset by peer, "+strings.Repeat("and so on, ", 10)+hostile)(&full)
	full.Sessions, full.Resets, full.Failures = 3, 1, 2
	reason := "no space left on device"
	full.Transcript = &rest.Transcript{File: "/var/log/serialhub/busy.log", State: rest.TranscriptFailing, Since: ago(time.Hour), Error: &reason}
	atEnd("b", func(e *rest.End) {
		e.Mode, e.Address, e.Path, e.Rejected, e.DiscardedBytes = rest.ModeConnect, "tls:[2001:db8::17]:4555", rest.PathCopy, 2, 70000
	})(&full)
	pty := atEnd("a", func(e *rest.End) { e.Mode, e.Address = rest.ModePTY, "/run/serialhub/dbg.tty" }).of(kinds()[3])
	odd := atEnd("b", func(e *rest.End) { e.Mode, e.Peer, e.Error = "moon\x1b", &rest.Peer{}, new("it is dark"+hostile) }).of(link("odd", rest.LinkHalf, time.Hour, nil, nil))
	for name, l := range map[string]rest.Link{"detail": full, "detail-pty": pty, "detail-odd": odd, "detail-bare": kinds()[10]} {
		var all strings.Builder
		for _, width := range []int{0, 60, 200} {
			show(t, &all, width, table.Style{Width: width, Now: now}.Link(l, nil))
		}
		golden(t, name, all.String())
	}
}

// TestColors repeat what the text says, and change nothing of it.
func TestColors(t *testing.T) {
	plain := strings.Join(table.Style{Width: 100, Now: now}.Links(kinds(), nil), "\n")
	colored := strings.Join(table.Style{Width: 100, Now: now, Color: true}.Links(kinds(), nil), "\n")
	golden(t, "colors", strings.ReplaceAll(colored, "\x1b", "ESC")+"\n")
	var without strings.Builder
	for i, part := range strings.Split(colored, "\x1b[") {
		if i > 0 {
			_, part, _ = strings.Cut(part, "m")
		}
		without.WriteString(part)
	}
	if without.String() != plain {
		t.Errorf("without colours:\n%s\nand plain:\n%s", without.String(), plain)
	}
}

func TestSentences(t *testing.T) {
	var all strings.Builder
	for _, l := range append(kinds(), failed("a", hostile).of(link(hostile, rest.LinkRetrying, 0, nil, nil)), link("why", rest.LinkFailed, 0, nil, nil)) {
		fmt.Fprintln(&all, table.Sentence(l))
	}
	names := make([]string, 300)
	for i := range names {
		names[i] = fmt.Sprint("vm", i)
	}
	for _, c := range []rest.Changes{{}, {Unchanged: names[:1]}, {Unchanged: names}, {Added: names[:3], Removed: names[3:4], Unchanged: names[:1]}, {Changed: names}} {
		fmt.Fprintln(&all, table.Changes(c))
	}
	reason := "/etc/serialhub/links.yaml:3:4: links[0].a: " + hostile
	for _, width := range []int{0, 60, 200} {
		for _, status := range []rest.Status{
			{Version: "v1.2.3", PID: 4711, StartedAt: ago(3 * 24 * time.Hour), LastReload: rest.LastReload{OK: true}, Links: map[string]int{"up": 10, "half": 1, "failed": 1, "stopped": 0}},
			{Version: "devel", PID: 1, StartedAt: ago(time.Second), LastReload: rest.LastReload{At: ago(5 * time.Minute), Error: &reason}, Links: map[string]int{"waiting": 1}},
			{Version: "devel", PID: 1, StartedAt: ago(time.Second), LastReload: rest.LastReload{At: ago(5 * time.Minute)}},
		} {
			show(t, &all, width, table.Style{Width: width, Now: now}.Summary(status))
		}
	}
	golden(t, "sentences", all.String())
}
