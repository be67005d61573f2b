package supervisor

import (
	"errors"
	"sync"

	"serialhub/internal/config"
	"serialhub/internal/endpoint"
	"serialhub/internal/relay"
)

// command is what somebody wants of a link.
type command struct {
	verb  verb
	sides []relay.Side         // for reset and release
	next  *config.Link         // for update
	ready [2]endpoint.Listener // for update: those that are open already
	once  sync.Once
	done  chan struct{} // closed when it is carried out, or cannot be
}

type verb int

const (
	reset   verb = iota // closes the peers of some ends, and opens at once what is not open; starts the link if it does not run
	start               // starts the link if it does not run
	stop                // ends the link until it is started or reset
	release             // gives up the sockets of some ends, which another link is to have, and their peers
	update              // makes the link what the config says now
)

func newCommand(v verb, sides ...relay.Side) *command {
	return &command{verb: v, sides: sides, done: make(chan struct{})}
}

// finish lets go whoever waits for the command. It may be called on nil, and more than once.
func (c *command) finish() {
	if c != nil {
		c.once.Do(func() { close(c.done) })
	}
}

// Why the control of a link ends, beside relay.ErrLost and errors of the wire.
var (
	errQuit    = errors.New("the hub stops, or the link is gone from its config")
	errHanded  = errors.New("a command is for a link that does not run")
	errGivenUp = errors.New("it failed too often")
	errOver    = errors.New("the wire has ended")       // and said why
	errNoLoop  = errors.New("the event loop has ended") // which every link needs
	errNoWire  = errors.New("the wire ends by itself")  // and says why
)
