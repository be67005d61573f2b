package render

import (
	"strconv"
	"time"

	"serialhub/internal/relay"
	"serialhub/internal/watch"
)

// hexWidth is how many bytes a line of hex has.
const hexWidth = 16

// hex shows bytes to people, 16 on a line: when the first of them came, who said them, its offset, all of them, and those that are printable
// ASCII as text.
//
//	-- 2026-11-23 +01:00 --
//	01:00:00.123456  a>b  00000000  6c 6f 67 69 6e 3a 20 0d  0a                       |login: ..|
//	-- 4096 bytes from b missed --
//
// Times are those of the machine; the day and its distance from UTC come before the first line and whenever they change. A line that is not full
// is held back until it is, the other side speaks, bytes were missed, nothing has come for hexIdle, or Flush.
type hex struct {
	colors   colors
	location *time.Location

	line   [hexWidth]byte // the first count bytes of a line that is held back
	count  int
	from   relay.Side
	at     time.Time // when the first of them came
	last   time.Time // when the newest of them came
	offset uint64

	clock    []byte    // the time of day, of
	told     time.Time // this moment
	day      [3]int    // the year, day of it and seconds from UTC that were shown last
	dayShown bool
}

func newHex(o Options) *hex {
	h := &hex{colors: palette(o.Color), location: o.Location}
	if h.location == nil {
		h.location = time.Local
	}
	return h
}

// Header has the next line say the day again.
func (h *hex) Header(dst []byte) []byte {
	h.told, h.dayShown = time.Time{}, false
	return dst
}

func (h *hex) Append(dst []byte, e watch.Event) []byte {
	if e.Missed > 0 || h.count > 0 && e.At.Sub(h.last) > hexIdle {
		dst = h.Flush(dst)
	}
	if e.Missed > 0 {
		dst = append(dst, h.colors.missed...)
		dst = append(dst, "-- "...)
		dst = appendMissed(dst, e)
		dst = append(dst, " --"...)
		dst = append(dst, h.colors.off...)
		dst = append(dst, '\n')
	}
	data, offset := e.Data, e.Offset
	if h.count > 0 && len(data) > 0 {
		if e.From != h.from || offset != h.offset+uint64(h.count) {
			dst = h.Flush(dst)
		} else {
			n := copy(h.line[h.count:], data)
			data, offset, h.count = data[n:], offset+uint64(n), h.count+n
			h.last = e.At
			if h.count == hexWidth {
				dst = h.Flush(dst)
			}
		}
	}
	for ; len(data) >= hexWidth; data, offset = data[hexWidth:], offset+hexWidth {
		dst = h.appendLine(dst, e.From, e.At, offset, data[:hexWidth])
	}
	if len(data) > 0 {
		h.count = copy(h.line[:], data)
		h.from, h.at, h.last, h.offset = e.From, e.At, e.At, offset
	}
	return dst
}

func (h *hex) Held() (held [2]int) {
	held[h.from] = h.count
	return held
}

func (h *hex) Flush(dst []byte) []byte {
	if h.count == 0 {
		return dst
	}
	dst = h.appendLine(dst, h.from, h.at, h.offset, h.line[:h.count])
	h.count = 0
	return dst
}

func (h *hex) appendLine(dst []byte, from relay.Side, at time.Time, offset uint64, data []byte) []byte {
	const digits = "0123456789abcdef"
	if h.told.IsZero() || !at.Equal(h.told) {
		dst = h.tell(dst, at)
	}
	dst = append(dst, h.colors.dim...)
	dst = append(dst, h.clock...)
	dst = append(dst, h.colors.off...)
	dst = append(dst, "  "...)
	dst = append(dst, h.colors.side[from]...)
	dst = append(dst, letter(from), '>', letter(from.Other()))
	dst = append(dst, h.colors.off...)
	dst = append(dst, "  "...)
	dst = append(dst, h.colors.dim...)
	for limit := uint64(1 << 28); limit > 1 && offset < limit; limit >>= 4 {
		dst = append(dst, '0')
	}
	dst = strconv.AppendUint(dst, offset, 16)
	dst = append(dst, h.colors.off...)
	dst = append(dst, "  "...)
	dst = append(dst, h.colors.side[from]...)
	for i := range hexWidth {
		if i == hexWidth/2 {
			dst = append(dst, ' ')
		}
		if i < len(data) {
			dst = append(dst, digits[data[i]>>4], digits[data[i]&15], ' ')
		} else {
			dst = append(dst, "   "...)
		}
	}
	dst = append(dst, " |"...)
	for _, c := range data {
		if c < ' ' || c > '~' {
			c = '.'
		}
		dst = append(dst, c)
	}
	dst = append(dst, '|')
	dst = append(dst, h.colors.off...)
	return append(dst, '\n')
}

// tell makes the clock show a moment, and appends the day if that is not the one that was shown last.
func (h *hex) tell(dst []byte, at time.Time) []byte {
	h.told = at
	at = at.In(h.location)
	h.clock = at.AppendFormat(h.clock[:0], "15:04:05.000000")
	_, zone := at.Zone()
	if day := [3]int{at.Year(), at.YearDay(), zone}; !h.dayShown || day != h.day {
		h.day, h.dayShown = day, true
		dst = append(dst, h.colors.dim...)
		dst = at.AppendFormat(dst, "-- 2006-01-02 -07:00 --")
		dst = append(dst, h.colors.off...)
		dst = append(dst, '\n')
	}
	return dst
}

// appendMissed says how many bytes were missed, and whose.
func appendMissed(dst []byte, e watch.Event) []byte {
	dst = strconv.AppendUint(dst, e.Missed, 10)
	if e.Missed == 1 {
		dst = append(dst, " byte from "...)
	} else {
		dst = append(dst, " bytes from "...)
	}
	dst = append(dst, letter(e.From))
	return append(dst, " missed"...)
}
