package console

import (
	"bytes"
	"fmt"
)

// view is which of the lines of a page are seen, where not all can be.
type view struct {
	first int    // of those that are scrolled
	page  int    // how many of them there was room for
	leave string // how one leaves
}

// What a key means, if it does not scroll.
const (
	stay = iota
	leave
	suspend
)

const ctrlC, ctrlZ, ctrlBackslash = 3, 26, 28

// press takes what was typed at once: keys, or sequences that stand for them. What it does not know does nothing. It stops at a key that does
// not scroll, and returns what that means, and the rest.
func (v *view) press(typed []byte) (meaning int, rest []byte) {
	for len(typed) > 0 {
		size := 1
		if typed[0] == '\x1b' {
			size = sequence(typed)
		}
		switch key := string(typed[:size]); key {
		case "q", "Q", string(rune(ctrlC)), string(rune(ctrlBackslash)):
			return leave, typed[size:]
		case string(rune(ctrlZ)):
			return suspend, typed[size:]
		case "j", "\r", "\x1b[B", "\x1bOB":
			v.first++
		case "k", "\x1b[A", "\x1bOA":
			v.first--
		case " ", "\x06", "\x1b[6~":
			v.first += v.page
		case "b", "\x02", "\x1b[5~":
			v.first -= v.page
		case "g", "\x1b[H", "\x1bOH", "\x1b[1~":
			v.first = 0
		case "G", "\x1b[F", "\x1bOF", "\x1b[4~":
			v.first = 1 << 30
		}
		v.first = max(v.first, 0)
		typed = typed[size:]
	}
	return stay, nil
}

// sequence is how long the sequence is that some bytes begin with, as terminals send them for a key.
func sequence(typed []byte) int {
	if len(typed) < 3 || typed[1] != '[' && typed[1] != 'O' {
		return 1
	}
	end := bytes.IndexFunc(typed[2:], func(r rune) bool { return '@' <= r && r <= '~' })
	if end < 0 {
		return len(typed)
	}
	return 2 + end + 1
}

// lines gives what is seen. The last line says what is not.
func (v *view) lines(height, width int, draw func(width int) (top, scrolled []string)) []string {
	top, scrolled := draw(width)
	lines := append([]string{}, top...)
	v.page = max(height-len(top)-1, 1)
	v.first = max(0, min(v.first, len(scrolled)-v.page))
	last := min(v.first+v.page, len(scrolled))
	lines = append(lines, scrolled[v.first:last]...)
	foot := v.leave
	if v.first > 0 || last < len(scrolled) {
		foot = fmt.Sprintf("%d to %d of %d, %d more; arrows scroll, %s", v.first+1, last, len(scrolled), len(scrolled)-last, v.leave)
	}
	lines = append(lines, foot[:min(len(foot), width)])
	return lines[:min(len(lines), height)]
}
