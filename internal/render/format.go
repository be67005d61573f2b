package render

import (
	"fmt"
	"time"
)

// Format is a way in which traffic is shown. The zero Format is none.
type Format string

// The formats.
const (
	Hex    Format = "hex"    // for people: time, direction, offset, bytes and what of them is printable
	Raw    Format = "raw"    // the bytes alone
	Text   Format = "text"   // for logs: a line for each line that was said
	JSON   Format = "json"   // for programs: an object on a line for each piece
	PCAPNG Format = "pcapng" // for Wireshark
)

// ParseFormat reads the name of a format.
func ParseFormat(name string) (Format, error) {
	switch f := Format(name); f {
	case Hex, Raw, Text, JSON, PCAPNG:
		return f, nil
	}
	return "", fmt.Errorf("%q is not a format; write hex, raw, text, json or pcapng", name)
}

// How long a line that is not complete waits for more.
const (
	hexIdle  = 100 * time.Millisecond
	textIdle = time.Second
)

// Idle is how long a side has to say nothing until its line that is not complete is to be flushed; 0 for formats that hold nothing back. Renderers
// see to it themselves when an event comes that is later; until then it is for their caller to do.
func (f Format) Idle() time.Duration {
	switch f {
	case Hex:
		return hexIdle
	case Text:
		return textIdle
	default:
		return 0
	}
}

// ContentType is what HTTP calls the format.
func (f Format) ContentType() string {
	switch f {
	case Hex, Text:
		return "text/plain; charset=utf-8"
	case JSON:
		return "application/x-ndjson"
	case PCAPNG:
		return "application/x-pcapng"
	default:
		return "application/octet-stream"
	}
}

// Options say how traffic is shown, where a format leaves that open.
type Options struct {
	Link       string         // its name, for pcapng; printable, as config makes sure
	Color      bool           // hex and text: with the colours of a terminal
	Timestamps bool           // text: with the time; the others always have it, but for raw
	Location   *time.Location // hex: whose time; nil: that of the machine
}

// New makes a renderer of a format that ParseFormat knows. It panics at any other.
func New(format Format, o Options) Renderer {
	switch format {
	case Hex:
		return newHex(o)
	case Raw:
		return raw{}
	case Text:
		return &text{colors: palette(o.Color), timestamps: o.Timestamps}
	case JSON:
		return jsonLines{}
	case PCAPNG:
		return newPCAPNG(o.Link)
	}
	panic(fmt.Sprintf("render: %q is not a format", format))
}
