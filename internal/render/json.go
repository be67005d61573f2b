package render

import (
	"encoding/base64"
	"strconv"
	"time"

	"serialhub/internal/relay"
	"serialhub/internal/watch"
)

// jsonLines writes an object on a line of its own for each piece of data, and one for each gap before it:
//
//	{"time":"2026-11-23T00:00:00.123456789Z","end":"a","offset":4096,"data":"bG9naW46IA=="}
//	{"time":"2026-11-23T00:00:00.123456789Z","end":"a","offset":0,"missed":4096}
//
// The offset is that of the first byte of the data, or of the gap, among all that has come from that end. An object has data or
// missed, never both.
type jsonLines struct{ immediate }

func (jsonLines) Append(dst []byte, e watch.Event) []byte {
	if e.Missed > 0 {
		dst = begin(dst, e.At, e.From, e.Offset-e.Missed)
		dst = append(dst, `,"missed":`...)
		dst = strconv.AppendUint(dst, e.Missed, 10)
		dst = append(dst, "}\n"...)
	}
	if len(e.Data) > 0 {
		dst = begin(dst, e.At, e.From, e.Offset)
		dst = append(dst, `,"data":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, e.Data)
		dst = append(dst, "\"}\n"...)
	}
	return dst
}

// begin appends what both kinds of objects begin with.
func begin(dst []byte, at time.Time, from relay.Side, offset uint64) []byte {
	dst = append(dst, `{"time":"`...)
	dst = at.UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, `","end":"`...)
	dst = append(dst, letter(from))
	dst = append(dst, `","offset":`...)
	return strconv.AppendUint(dst, offset, 10)
}

// letter is the name of a side, without the memory that a string takes.
func letter(s relay.Side) byte { return 'a' + byte(s) }
