package supervisor

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/oklog/run"

	"serialhub/internal/config"
	"serialhub/internal/endpoint"
	"serialhub/internal/relay"
)

// drainTime is how long a link that stops waits for a peer to take what was sent to it.
const drainTime = 3 * time.Second

// link keeps one link alive. One goroutine runs it; the exported view of it is safe to read from any.
type link struct {
	config   config.Link
	parts    parts
	log      *slog.Logger
	counters [2]relay.Counters
	commands chan *command
	quit     chan struct{} // closed to end it
	ended    chan struct{} // closed when run has returned

	mu     sync.Mutex
	status Link
}

// parts are what all links share, and what a test may put a faulty one in the place of.
type parts struct {
	loop    *relay.Loop
	keeper  *endpoint.Keeper
	newWire func(*relay.Loop, relay.Rules, *[2]relay.Counters, func(relay.Event)) (*relay.Link, error)
	listen  func(endpoint.Socket) (*endpoint.Listener, error)
}

func newLink(c config.Link, p parts, log *slog.Logger) *link {
	now := time.Now()
	l := &link{
		config:   c,
		parts:    p,
		log:      log.With("link", c.Name),
		commands: make(chan *command),
		quit:     make(chan struct{}),
		ended:    make(chan struct{}),
		status:   Link{Name: c.Name, State: LinkStarting, Since: now},
	}
	for _, side := range bothSides() {
		l.status.Ends[side] = End{Address: l.end(side).Listen.String(), State: EndOpening, Since: now}
	}
	return l
}

func bothSides() []relay.Side { return []relay.Side{relay.A, relay.B} }

func (l *link) end(side relay.Side) config.End {
	if side == relay.A {
		return l.config.A
	}
	return l.config.B
}

// run keeps the link alive until the hub stops. It runs the link's group; when that ends, it depends on why whether it
// is run again, at once or after a while, or waits for a command.
func (l *link) run() {
	defer close(l.ended)
	again := newRetry(l.config.Restart)
	runs := !l.config.Disabled
	if !runs {
		l.settle(LinkStopped)
	}
	var cmd *command // what the group is to begin with
	for {
		var wake <-chan time.Time
		if runs {
			again.succeeded()
			err := l.runGroup(cmd)
			if errors.Is(err, errQuit) {
				l.settle(LinkStopped)
				l.log.Info("link stopped")
				cmd.finish()
				return
			}
			var state LinkState
			state, wake = l.judge(err, again)
			l.settle(state)
			runs = state == LinkRetrying
			if held := (*heldError)(nil); errors.As(err, &held) {
				held.by.finish()
			}
		}
		cmd.finish() // the group may have ended before it came to it
		select {
		case <-l.quit:
			l.settle(LinkStopped)
			return
		case <-wake:
			cmd = nil
		case cmd = <-l.commands:
			again.reset()
			runs = cmd.verb != stop
			if !runs {
				l.settle(LinkStopped)
			}
		}
	}
}

// judge decides what becomes of a link whose group has ended: the state it settles in and, if it is tried again, when.
func (l *link) judge(err error, again *retry) (LinkState, <-chan time.Time) {
	var held *heldError
	switch {
	case errors.As(err, &held):
		l.log.Info("link stopped on command")
		return LinkStopped, nil
	case errors.Is(err, relay.ErrLost):
		l.log.Info("link stopped, because a peer has left", "restart", string(l.config.Restart.Policy))
		return LinkStopped, nil
	case errors.Is(err, errGivenUp):
		return LinkFailed, nil
	}
	wait, ok := again.failed()
	l.fail("", err, wait, ok)
	if !ok {
		return LinkFailed, nil
	}
	return LinkRetrying, time.After(wait)
}

// runGroup runs the link once, as a group of two actors: the wire, and the control that opens its ends, follows
// what happens on it, resets and stops it.
func (l *link) runGroup(first *command) error {
	events := newMailbox()
	over := make(chan error, 1)
	wire, err := l.parts.newWire(l.parts.loop, rules(l.config), &l.counters, func(event relay.Event) {
		if event.Kind == relay.Over {
			over <- event.Err
			return
		}
		events.put(event)
	})
	if err != nil {
		return fmt.Errorf("no wire can be made: %w", err)
	}
	var group run.Group
	quitWire := make(chan struct{})
	group.Add(func() error { return l.runWire(wire, over, quitWire) }, func(error) { close(quitWire) })
	control := newControl(l, wire, events)
	group.Add(func() error { return control.run(first) }, func(error) { close(control.over) })
	err = group.Run()
	control.follow() // what happened while the wire was closed
	return err
}

// runWire waits for the wire to end, and ends it when told to: what the peers have sent is delivered first.
func (l *link) runWire(wire *relay.Link, over <-chan error, quit <-chan struct{}) error {
	select {
	case err := <-over:
		return err
	case <-quit:
	}
	wire.Drain()
	select {
	case err := <-over:
		return err
	case <-time.After(drainTime):
	case <-l.parts.loop.Done():
		return errNoLoop
	}
	l.log.Warn("a peer does not take what was sent to it; closing without", "waited", drainTime)
	wire.Close()
	return <-over
}

// errNoLoop says that the event loop, which every link needs, has ended.
var errNoLoop = errors.New("the event loop has ended")

// rules translates what the file says of a link into what the wire does.
func rules(c config.Link) relay.Rules {
	r := relay.Rules{BufferSize: c.BufferSize, CloseBoth: c.OnDisconnect == config.OnDisconnectClose}
	switch c.Absent {
	case config.AbsentHold:
		r.Absent = relay.Hold
	case config.AbsentBuffer:
		r.Absent = relay.Buffer
	case config.AbsentDiscard:
		r.Absent = relay.Discard
	}
	switch c.Restart.Policy {
	case config.Never:
		r.EndAfter = relay.AnyLoss
	case config.OnFailure:
		r.EndAfter = relay.CleanLoss
	case config.Always:
		r.EndAfter = relay.NoLoss
	}
	for side, end := range []config.End{c.A, c.B} {
		r.Ends[side].AllowUIDs = end.AllowUIDs
		switch end.WhenBusy {
		case config.BusyReplace:
			r.Ends[side].Busy = relay.Replace
		case config.BusyQueue:
			r.Ends[side].Busy = relay.Queue
		case config.BusyReject:
			r.Ends[side].Busy = relay.Reject
		}
	}
	return r
}

// update changes the status, and lets the states follow from what is known then.
func (l *link) update(change func(s *Link)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.status)
	now := time.Now()
	for side := range l.status.Ends {
		e := &l.status.Ends[side]
		e.setState(e.derive(), now)
	}
	l.status.setState(derive(l.status.Ends[relay.A].State, l.status.Ends[relay.B].State), now)
}

// settle gives the link a state in which nothing runs.
func (l *link) settle(state LinkState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for side := range l.status.Ends {
		e := &l.status.Ends[side]
		e.Peer, e.Queued, e.listening, e.failing = nil, nil, false, false
		e.setState(EndClosed, now)
	}
	l.status.setState(state, now)
}

// fail notes and logs an error of an end or, with end "", of the whole link, and what becomes of it.
func (l *link) fail(end string, err error, wait time.Duration, again bool) {
	l.mu.Lock()
	l.status.Failures++
	l.status.Last = &Failure{At: time.Now(), End: end, Message: err.Error()}
	l.mu.Unlock()
	attributes := []any{"error", err}
	if end != "" {
		attributes = append(attributes, "end", end)
	}
	if panicked := (*relay.PanicError)(nil); errors.As(err, &panicked) {
		attributes = append(attributes, "stack", string(panicked.Stack))
	}
	if again {
		l.log.Error("failed; it is tried again", append(attributes, "after", wait.Round(time.Millisecond))...)
	} else {
		l.log.Error("failed; the link is given up until it is reset or started", attributes...)
	}
}

// snapshot returns what is known about the link now.
func (l *link) snapshot() Link {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status.withCounters(&l.counters)
}
