package console

import (
	"os"
	"strings"
	"time"
)

const (
	// Lines are as long as the terminal is wide; if it has just become narrower they must not wrap, or the screen would scroll.
	openPage  = enterAlternate + "\x1b[?25l\x1b[?7l"
	closePage = "\x18\x1b[0m\x1b[?7h\x1b[?25h" + leaveAlternate
)

// endTime is how long a terminal may take for the last that is written.
const endTime = time.Second

// frames writes what a page looks like, each time the newest. A terminal that takes nothing, because somebody holds it, must not keep the
// person from leaving.
type frames struct {
	next chan string
	done chan struct{}
}

// newFrames opens the page.
func newFrames(out *os.File) *frames {
	f := &frames{next: make(chan string, 1), done: make(chan struct{})}
	go func() {
		defer close(f.done)
		text := openPage
		for more := true; more; text, more = <-f.next {
			out.WriteString(text) //nolint:errcheck // if the terminal is gone, a signal says so
		}
		out.WriteString(closePage) //nolint:errcheck // likewise
	}()
	return f
}

// show replaces what has not been written yet. It is for one goroutine.
func (f *frames) show(text string) {
	select {
	case <-f.next:
	default:
	}
	f.next <- text
}

// end closes the page.
func (f *frames) end() {
	close(f.next)
	select {
	case <-f.done:
	case <-time.After(endTime):
	}
}

// frame is what writes lines over those that were there before. What was there is erased before a line is written, and not after it: a cursor
// at the last cell would erase that.
func frame(lines []string) string {
	var text strings.Builder
	text.WriteString("\x1b[H")
	for i, line := range lines {
		if i < len(lines)-1 {
			text.WriteString("\x1b[K" + line + "\r\n")
		} else {
			text.WriteString("\x1b[J" + line)
		}
	}
	return text.String()
}
