package render

import (
	"bytes"
	"time"
	"unicode/utf8"

	"serialhub/internal/relay"
	"serialhub/internal/watch"
)

// maxLine is how many bytes of a line are shown on one line, at most.
const maxLine = 4096

// text writes a line for each line that was said, when that is complete:
//
//	2026-11-23T00:00:00.123456Z a> login: \
//	2026-11-23T00:00:01.123456Z b> root\r
//	2026-11-23T00:00:01.123789Z a+ root
//	2026-11-23T00:00:02.123456Z a! 4096 bytes from a missed
//
// The time, of UTC, is that of the line's first byte. A side's letter is followed by > where a line begins, and by + where one goes on. A
// backslash at the end (any other has something behind it, see appendEscaped) says that there was no newline: the line was longer than maxLine, bytes were
// missed, nothing had come for textIdle, or Flush found it incomplete. A CR before a newline is left out. Any other CR ends a line as well, because it is what terminals send, and is shown as \r at the end.
// So all that was said can be read back, but for the CR before a newline. The sides gather their lines apart, so that an echo does not chop what is typed; but
// where the newest byte is a CR, the line is complete when the other side speaks: a question is not to come after its answer.
type text struct {
	colors     colors
	timestamps bool
	lines      [2]textLine
}

// textLine is what one side has said of a line.
type textLine struct {
	held   []byte
	at     time.Time // when the first held byte came
	last   time.Time // when the newest held byte came
	goesOn bool      // the next byte is not the first one of its line
}

func (t *text) Header(dst []byte) []byte { return dst }

func (t *text) Append(dst []byte, e watch.Event) []byte {
	if e.Missed == 0 && len(e.Data) == 0 {
		return dst
	}
	dst = t.flushIdle(dst, e.At)
	if endsInCR(t.lines[e.From.Other()].held) {
		dst = t.flush(dst, e.From.Other())
	}
	line := &t.lines[e.From]
	if e.Missed > 0 {
		dst = t.flush(dst, e.From)
		dst = t.missed(dst, e)
		line.goesOn = true
	}
	for data := e.Data; len(data) > 0; {
		if endsInCR(line.held) && data[0] != '\n' {
			dst = t.flush(dst, e.From)
		}
		if len(line.held) == 0 {
			line.at = e.At
		}
		// More than maxLine is held, to see whether an end of the line or the rest of a character follows.
		part := data[:min(len(data), maxLine+utf8.UTFMax-len(line.held))]
		if n, end := lineEnd(part, data); n >= 0 {
			said := part[:n]
			if len(line.held) > 0 {
				line.held = append(line.held, said...)
				said = line.held
			}
			if end == endNewline {
				said = bytes.TrimSuffix(said, []byte{'\r'})
			}
			dst = t.appendLine(dst, e.From, said, end)
			line.held = line.held[:0]
			data = data[n+1:]
			continue
		}
		line.held, line.last = append(line.held, part...), e.At
		data = data[len(part):]
		if len(line.held) == maxLine+utf8.UTFMax {
			n := wholeRunes(line.held, maxLine)
			dst = t.appendLine(dst, e.From, line.held[:n], endNone)
			line.held = append(line.held[:0], line.held[n:]...)
			line.at = e.At
		}
	}
	return dst
}

func (t *text) Held() [2]int { return [2]int{len(t.lines[relay.A].held), len(t.lines[relay.B].held)} }

func (t *text) Flush(dst []byte) []byte {
	first := relay.A
	if t.lines[relay.B].at.Before(t.lines[relay.A].at) {
		first = relay.B
	}
	return t.flush(t.flush(dst, first), first.Other())
}

// flushIdle appends what each side has said of a line, if at a moment it had said nothing more for textIdle.
func (t *text) flushIdle(dst []byte, now time.Time) []byte {
	idle := func(side relay.Side) bool {
		return len(t.lines[side].held) > 0 && now.Sub(t.lines[side].last) > textIdle
	}
	switch a, b := idle(relay.A), idle(relay.B); {
	case a && b:
		return t.Flush(dst)
	case a:
		return t.flush(dst, relay.A)
	case b:
		return t.flush(dst, relay.B)
	default:
		return dst
	}
}

// flush appends what one side has said of a line.
func (t *text) flush(dst []byte, from relay.Side) []byte {
	line := &t.lines[from]
	if len(line.held) > 0 {
		said, end := line.held, endNone
		if endsInCR(said) {
			said, end = said[:len(said)-1], endCR
		}
		dst = t.appendLine(dst, from, said, end)
		line.held = line.held[:0]
	}
	return dst
}

// appendLine appends what one side has said, of one line and without its end: a few bytes more than maxLine, at most.
func (t *text) appendLine(dst []byte, from relay.Side, said []byte, end lineEnding) []byte {
	if len(said) > maxLine {
		n := wholeRunes(said, maxLine)
		dst = t.appendLine(dst, from, said[:n], endNone)
		said = said[n:]
	}
	line := &t.lines[from]
	mark := byte('>')
	if line.goesOn {
		mark = '+'
	}
	dst = t.begin(dst, line.at, from, mark, t.colors.side[from])
	dst = appendEscaped(dst, said)
	switch line.goesOn = end == endNone; end {
	case endNone:
		dst = append(dst, '\\')
	case endCR:
		dst = append(dst, `\r`...)
	case endNewline:
	}
	dst = append(dst, t.colors.off...)
	return append(dst, '\n')
}

func (t *text) missed(dst []byte, e watch.Event) []byte {
	dst = t.begin(dst, e.At, e.From, '!', t.colors.missed)
	dst = appendMissed(dst, e)
	dst = append(dst, t.colors.off...)
	return append(dst, '\n')
}

// begin appends what comes before what was said.
func (t *text) begin(dst []byte, at time.Time, from relay.Side, mark byte, color string) []byte {
	if t.timestamps {
		dst = append(dst, t.colors.dim...)
		dst = at.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
		dst = append(dst, t.colors.off...)
		dst = append(dst, ' ')
	}
	dst = append(dst, color...)
	return append(dst, letter(from), mark, ' ')
}
