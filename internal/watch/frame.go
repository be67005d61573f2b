package watch

import (
	"encoding/binary"
	"time"

	"serialhub/internal/relay"
)

// A frame is an event as it lies on a tape:
//
//	uvarint: the number of bytes, times 4; plus 2 if bytes were missed before them; plus the side
//	uvarint: microseconds since the frame before, or since the page was begun
//	uvarint: how many bytes were missed, if any were
//	the bytes

// maxHead is how long a frame is at most, but for its bytes.
const maxHead = 3 * binary.MaxVarintLen64

// putFrame writes a frame into dst, which has room for it, and returns how long it is.
func putFrame(dst []byte, side relay.Side, since time.Duration, missed uint64, data []byte) int {
	kind := uint64(len(data))<<2 | uint64(side)
	if missed > 0 {
		kind |= 2
	}
	n := binary.PutUvarint(dst, kind)
	n += binary.PutUvarint(dst[n:], uint64(max(since, 0)/time.Microsecond))
	if missed > 0 {
		n += binary.PutUvarint(dst[n:], missed)
	}
	return n + copy(dst[n:], data)
}

// frame is what a frame says.
type frame struct {
	side   relay.Side
	since  time.Duration
	missed uint64
	data   []byte // of what the frame was read from
}

// nextFrame reads the first frame of src and returns what follows it; ok is false if there is no whole one.
func nextFrame(src []byte) (f frame, rest []byte, ok bool) {
	kind, n := binary.Uvarint(src)
	if n <= 0 {
		return f, src, false
	}
	rest = src[n:]
	since, n := binary.Uvarint(rest)
	if n <= 0 {
		return f, src, false
	}
	rest = rest[n:]
	f.side, f.since = relay.Side(kind&1), time.Duration(since)*time.Microsecond
	if kind&2 != 0 {
		if f.missed, n = binary.Uvarint(rest); n <= 0 {
			return f, src, false
		}
		rest = rest[n:]
	}
	length := kind >> 2
	if length > uint64(len(rest)) {
		return f, src, false
	}
	f.data = rest[:length]
	return f, rest[length:], true
}
