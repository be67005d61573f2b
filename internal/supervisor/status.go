package supervisor

import (
	"slices"
	"strings"
	"time"

	"serialhub/internal/relay"
)

// LinkState says what a link is doing.
type LinkState string

// The states of a link. While it runs, its state follows from those of its ends.
const (
	LinkStarting LinkState = "starting" // its ends are being opened
	LinkWaiting  LinkState = "waiting"  // nobody is connected
	LinkHalf     LinkState = "half"     // one peer is
	LinkUp       LinkState = "up"       // both are
	LinkRetrying LinkState = "retrying" // an end, or the whole link, failed and is tried again
	LinkFailed   LinkState = "failed"   // it failed too often, or once too often for its policy
	LinkStopped  LinkState = "stopped"  // somebody stopped it, or the first loss did
)

// LinkStates returns every state a link can be in.
func LinkStates() []LinkState {
	return []LinkState{LinkStarting, LinkWaiting, LinkHalf, LinkUp, LinkRetrying, LinkFailed, LinkStopped}
}

// EndState says what an end of a link is doing.
type EndState string

// The states of an end.
const (
	EndOpening   EndState = "opening"
	EndWaiting   EndState = "waiting"
	EndConnected EndState = "connected"
	EndRetrying  EndState = "retrying" // it could not be opened, and is tried again
	EndClosed    EndState = "closed"   // its link does not run
)

// Link is what is known about a link at one moment.
type Link struct {
	Name     string
	Disabled bool // by its config
	State    LinkState
	Since    time.Time // of State
	Sessions uint64    // how often both ends have become connected
	Resets   uint64
	Failures uint64
	Last     *Failure // nil if nothing has failed yet
	Ends     [2]End   // by relay.Side
	Lost     bool     // a peer has left, and that ends it

	Scrollback int         // how many bytes are kept for watchers
	Transcript *Transcript // nil if there is none
}

// Failure is something that went wrong.
type Failure struct {
	At      time.Time
	End     string // "a", "b", or "" for the whole link
	Message string
}

// End is what is known about an end at one moment.
type End struct {
	Address     string
	Way         string // how it comes to its peers: listen, connect, pty or device
	State       EndState
	Since       time.Time // of State
	Error       string    // why it is being tried again; "" if it is not, or if the hub itself has ended the last connection
	Peer        *Peer     // nil while nobody is connected
	Queued      []Peer    // who waits for the end, first come first
	Connections uint64
	Rejected    uint64
	Received    uint64 // bytes that came from its peers
	Sent        uint64 // bytes that went to them
	Discarded   uint64 // bytes that came from them and were dropped
	Copied      bool   // what comes from the peer that is there goes through user space; else it stays in the kernel

	listening, failing bool
}

// Peer is a program at an end, by the kernel's word.
type Peer struct {
	PID, UID, GID int    // PID is 0 if it cannot be told, and all are for a peer that is not on this machine
	Command       string // "" if it cannot be told
	VM            string // the guest's name, where the command line tells it
	Address       string // where it is: host:port, cid:port, a terminal or a serial port; "" for a unix socket
	Subject       string // of the certificate that it has shown; "" if it has not

	id      uint64 // relay's
	returns bool   // it connects again by itself
}

// staysAway tells whether the peer is a QEMU, under whatever name, that does not come back when it has lost its socket.
func (p Peer) staysAway() bool {
	return !p.returns && (strings.HasPrefix(p.Command, "qemu") || p.Command == "kvm")
}

// derive gives the state of an end of a running link.
func (e *End) derive() EndState {
	switch {
	case e.Peer != nil:
		return EndConnected // also while its socket is being bound again: whoever is there stays
	case e.listening:
		return EndWaiting
	case e.failing:
		return EndRetrying
	default:
		return EndOpening
	}
}

// derive gives the state of a running link from the states of its ends.
func derive(a, b EndState) LinkState {
	either := func(state EndState) bool { return a == state || b == state }
	switch {
	case either(EndRetrying):
		return LinkRetrying
	case either(EndOpening):
		return LinkStarting
	case a == EndConnected && b == EndConnected:
		return LinkUp
	case either(EndConnected):
		return LinkHalf
	default:
		return LinkWaiting
	}
}

// setState changes the state of a link; Since moves only if the state does.
func (l *Link) setState(state LinkState, now time.Time) {
	if l.State != state {
		l.State, l.Since = state, now
	}
}

func (e *End) setState(state EndState, now time.Time) {
	if state != EndRetrying {
		e.Error = ""
	}
	if e.State != state {
		e.State, e.Since = state, now
	}
}

// unqueue takes a peer out of those who wait, if it is there.
func (e *End) unqueue(id uint64) {
	e.Queued = slices.DeleteFunc(slices.Clone(e.Queued), func(p Peer) bool { return p.id == id })
}

// withCounters fills in what the wire counts.
func (l Link) withCounters(counters *[2]relay.Counters) Link {
	for side := range l.Ends {
		end, c := &l.Ends[side], &counters[side]
		end.Connections, end.Rejected = c.Connections.Load(), c.Rejected.Load()
		end.Received, end.Sent, end.Discarded = c.Received.Load(), c.Sent.Load(), c.Discarded.Load()
		end.Copied = c.Copied.Load()
	}
	return l
}
