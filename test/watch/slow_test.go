package watch

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	// much is far more than a tape has room for, with all that is between the hub and a watcher.
	much = 200_000_000
	// first is what a watcher is shown before it does not read any more.
	first = 100
)

// Watchers that do not read any more do not hold up what crosses the link; and when they read again they are told, at its place, how much
// exactly they have missed.
func TestWatchersThatDoNotRead(t *testing.T) {
	h := startHub(t, link("scrollback: 64KiB"))
	a, b := h.dialBoth()
	p := newPattern(1)
	if err := p.carry(a, b, 0, first); err != nil {
		t.Fatal(err)
	}
	stream := newEvents(h.stream("format=json&since_start"))
	socket := h.tap("--format", "json", "--since-start")
	raw := h.command("tap", "dbg", "--format", "raw", "--since-start")
	raw.Stderr = &raw.out // so that it is seen where it complains
	raw.start()
	socket.showsText("\n")
	raw.shows("what was said", func(text string) bool { return len(text) == first })
	for _, c := range []*command{socket, raw} {
		if err := c.Process.Signal(unix.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.carry(a, b, first, much); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*command{socket, raw} {
		if err := c.Process.Signal(unix.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("stream", func(t *testing.T) { checkEvents(t, p, stream) })
	t.Run("json", func(t *testing.T) {
		h.eventually("it has shown all", func() error {
			text := socket.out.String()
			last := text[strings.LastIndexByte(text[:max(0, len(text)-1)], '\n')+1:]
			return reaches(last)
		})
		checkEvents(t, p, newEvents(strings.NewReader(socket.out.String())))
	})
	t.Run("raw", func(t *testing.T) {
		h.eventually("it has shown all", func() error {
			end, _, err := walk(p, raw.out.String()) // which may stop in the middle of a notice
			if end < much {
				return fmt.Errorf("it is at %d", end)
			}
			return err
		})
		end, missed, err := walk(p, raw.out.String())
		if err != nil || end != much || missed == 0 {
			t.Errorf("it ends at %d after %d missed bytes, %v", end, missed, err)
		}
	})
}

// reaches tells whether a line of the format json is the last one.
func reaches(line string) error {
	next, err := newEvents(strings.NewReader(line)).next()
	if err == nil && next.Offset+int64(len(next.Data))+next.Missed < much {
		err = fmt.Errorf("it is at %d", next.Offset)
	}
	return err
}

// checkEvents reads until everything was shown or missed, and compares it.
func checkEvents(t *testing.T, p pattern, e *events) {
	t.Helper()
	var end, missed int64
	for end < much {
		next, err := e.next()
		if err != nil {
			t.Fatalf("at %d: %v", end, err)
		}
		if next.End != "a" || next.Offset != end {
			t.Fatalf("at %d comes %s's %d", end, next.End, next.Offset)
		}
		if !p.holds(next.Offset, next.Data) {
			t.Fatalf("at %d come other bytes than were said", end)
		}
		end += next.Missed + int64(len(next.Data))
		missed += next.Missed
	}
	if end != much || missed == 0 {
		t.Errorf("it ends at %d after %d missed bytes", end, missed)
	}
}

var notice = regexp.MustCompile(`serialhub: missed (\d+) bytes from end a\n`)

// walk follows what a tap with format raw shows on both its outputs: bytes, and how many were missed at that place.
func walk(p pattern, text string) (end, missed int64, err error) {
	for {
		data, after := text, ""
		found := notice.FindStringSubmatchIndex(text)
		if found != nil {
			data, after = text[:found[0]], text[found[1]:]
		}
		if !p.holds(end, []byte(data)) {
			return end, missed, fmt.Errorf("after %d bytes, of which it missed %d, come others than were said", end, missed)
		}
		end += int64(len(data))
		if found == nil {
			return end, missed, nil
		}
		n, err := strconv.ParseInt(text[found[2]:found[3]], 10, 64)
		if err != nil {
			return end, missed, err
		}
		end, missed, text = end+n, missed+n, after
	}
}
