package supervisor

import (
	"time"

	"serialhub/internal/relay"
)

// LinkState says what a link is doing.
type LinkState string

// The states of a link. The first four follow from the states of its ends.
const (
	LinkStarting LinkState = "starting" // its ends are being opened
	LinkWaiting  LinkState = "waiting"  // nobody is connected
	LinkHalf     LinkState = "half"     // one peer is
	LinkUp       LinkState = "up"       // both are
	LinkRetrying LinkState = "retrying" // an end, or the whole link, failed and is tried again
	LinkStopped  LinkState = "stopped"
)

// LinkStates returns every state a link can be in.
func LinkStates() []LinkState {
	return []LinkState{LinkStarting, LinkWaiting, LinkHalf, LinkUp, LinkRetrying, LinkStopped}
}

// EndState says what an end of a link is doing.
type EndState string

// The states of an end.
const (
	EndOpening   EndState = "opening"
	EndWaiting   EndState = "waiting"
	EndConnected EndState = "connected"
	EndRetrying  EndState = "retrying"
	EndClosed    EndState = "closed"
)

// Link is what is known about a link at one moment.
type Link struct {
	Name     string
	State    LinkState
	Since    time.Time // of State
	Sessions uint64    // how often both ends have become connected
	Resets   uint64
	Failures uint64
	Last     *Failure // nil if nothing has failed yet
	Ends     [2]End   // by relay.Side
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
	State       EndState
	Since       time.Time // of State
	Peer        *Peer     // nil while nobody is connected
	Connections uint64
	Rejected    uint64
	Received    uint64 // bytes that came from its peers
	Sent        uint64 // bytes that went to them
	Discarded   uint64 // bytes that came from them and were dropped
}

// Peer is who is connected to an end, by the kernel's word.
type Peer struct {
	PID, UID, GID int
	Command       string // "" if it cannot be told
}

// derive gives the state that follows from those of the ends, while the link runs.
func derive(a, b EndState) LinkState {
	count := func(state EndState) (n int) {
		for _, s := range []EndState{a, b} {
			if s == state {
				n++
			}
		}
		return n
	}
	switch {
	case count(EndRetrying) > 0:
		return LinkRetrying
	case count(EndOpening) > 0:
		return LinkStarting
	case count(EndConnected) == 2:
		return LinkUp
	case count(EndConnected) == 1:
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
	if e.State != state {
		e.State, e.Since = state, now
	}
}

// withCounters fills in what the wire counts.
func (l Link) withCounters(counters *[2]relay.Counters) Link {
	for side := range l.Ends {
		end, c := &l.Ends[side], &counters[side]
		end.Connections, end.Rejected = c.Connections.Load(), c.Rejected.Load()
		end.Received, end.Sent, end.Discarded = c.Received.Load(), c.Sent.Load(), c.Discarded.Load()
	}
	return l
}
