// Package events keeps what has happened in the hub: a log with a history that is bounded, and readers that each have a place in it. Whoever
// publishes never waits for a reader.
package events

import "time"

// Type says what has happened.
type Type string

// The types of events, and what each has beside its time.
const (
	State       Type = "state"          // Link, State, Previous
	Connected   Type = "peer_connected" // Link, End, Peer
	Left        Type = "peer_left"      // Link, End, Peer; Reason, unless it was a clean close
	Rejected    Type = "peer_rejected"  // Link, End, Peer, Reason
	Reset       Type = "reset"          // Link; End, unless it was of both
	Fault       Type = "fault"          // Link; End, unless it was of the whole link; Message
	LinkAdded   Type = "link_added"     // Link
	LinkRemoved Type = "link_removed"   // Link
	LinkChanged Type = "link_changed"   // Link
	Reload      Type = "reload"         // Changes; or, if nothing was changed, Message and Faults
	Missed      Type = "missed"         // Message; it is made for a reader, and in no log
)

// Event is something that has happened. Nothing of it may be changed once it is published.
type Event struct {
	At       time.Time     `json:"at"`
	Type     Type          `json:"type"`
	Link     string        `json:"link,omitempty"`
	End      string        `json:"end,omitempty"` // a or b
	State    string        `json:"state,omitempty"`
	Previous string        `json:"previous,omitempty"`
	Peer     *Peer         `json:"peer,omitempty"`
	Reason   string        `json:"reason,omitempty"`
	Message  string        `json:"message,omitempty"`
	Faults   []ConfigFault `json:"faults,omitempty"`
	Changes  *Changes      `json:"changes,omitempty"`
}

// Peer is a program at an end. PID is 0 if it cannot be told, and all numbers are for one that is not on this machine.
type Peer struct {
	PID     int    `json:"pid,omitempty"`
	UID     int    `json:"uid,omitempty"`
	GID     int    `json:"gid,omitempty"`
	Command string `json:"command,omitempty"`
	VM      string `json:"vm,omitempty"`
	Address string `json:"address,omitempty"`
	Subject string `json:"subject,omitempty"`
}

// ConfigFault is something that is wrong in a config that was not applied.
type ConfigFault struct {
	Key     string `json:"key,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Message string `json:"message"`
	Source  string `json:"source,omitempty"`
}

// Changes are what a reload has changed: the names of links.
type Changes struct {
	Added     []string `json:"added,omitempty"`
	Removed   []string `json:"removed,omitempty"`
	Changed   []string `json:"changed,omitempty"`
	Unchanged []string `json:"unchanged,omitempty"`
}

// base is about what an event takes in memory that has no texts.
const base = 384

// size is about how many bytes an event takes in memory, with the text that is made of it for readers.
func (e *Event) size() int {
	n := len(e.Link) + len(e.Reason) + len(e.Message)
	if p := e.Peer; p != nil {
		n += len(p.Command) + len(p.VM) + len(p.Address) + len(p.Subject)
	}
	for i := range e.Faults {
		n += base/4 + len(e.Faults[i].Key) + len(e.Faults[i].Message) + len(e.Faults[i].Source)
	}
	if c := e.Changes; c != nil {
		for _, list := range [][]string{c.Added, c.Removed, c.Changed, c.Unchanged} {
			for _, name := range list {
				n += 16 + len(name)
			}
		}
	}
	return base + 2*n
}
