// Package watch keeps what has crossed a link for those who watch it: the newest bytes of both directions, in order.
package watch

import (
	"time"

	"serialhub/internal/relay"
)

// Event is a piece of what has crossed a link, or the place where a watcher has missed some of it.
type Event struct {
	From   relay.Side // whose peer has said it
	At     time.Time  // when the hub has read it
	Missed uint64     // how many bytes from there, just before Data, the watcher has missed
	Offset uint64     // of Data's first byte, among all that has come from that side
	Data   []byte     // may be empty if bytes were missed
}

// Mark is up to where what has crossed the link is written, and into which files.
type Mark struct {
	Position Position
	Written  [2]Written
}

// Written is a file that is written, and how large it is with all that is before the mark; or zero.
type Written struct{ Device, Inode, Size uint64 }

// Position is a place between two bytes: how many have come from each side.
type Position [2]uint64
