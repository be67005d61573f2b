package render

import "bytes"

// lineEnding is how a line ends.
type lineEnding int

const (
	endNone lineEnding = iota // it goes on, or it is not known how
	endNewline
	endCR // without a newline
)

// lineEnd finds the first byte of a part, which data begins with, that ends a line. Its index is negative if there is none, or if it is a CR at the
// end of data, of which cannot be told yet whether a newline follows. A CR before a newline does not end the line, the newline does.
func lineEnd(part, data []byte) (index int, end lineEnding) {
	newline := bytes.IndexByte(part, '\n')
	if newline >= 0 {
		part = part[:newline]
	}
	cr := bytes.IndexByte(part, '\r')
	if cr >= 0 && cr+1 < len(data) && data[cr+1] != '\n' {
		return cr, endCR
	}
	return newline, endNewline
}

func endsInCR(held []byte) bool { return len(held) > 0 && held[len(held)-1] == '\r' }
