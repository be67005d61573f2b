package supervisor

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/oklog/run"

	"serialhub/internal/config"
	"serialhub/internal/endpoint"
	"serialhub/internal/relay"
)

const (
	// firstDelay and maxDelay bound the time before what failed is tried again; it doubles from one to the other.
	firstDelay = 200 * time.Millisecond
	maxDelay   = 30 * time.Second
	// healthy is how long a link has to run before the delay starts afresh.
	healthy = 10 * time.Second
	// drainTime is how long a link that stops waits for a peer to take what was sent to it.
	drainTime = 3 * time.Second
)

// errStopped ends the group of a link that is to stop.
var errStopped = errors.New("stopped")

// link keeps one link alive. One goroutine runs it; the exported view of it is safe to read from any.
type link struct {
	config   config.Link
	loop     *relay.Loop
	log      *slog.Logger
	counters [2]relay.Counters
	resets   chan *reset
	newWire  newWire
	stop     chan struct{} // closed to stop the link
	ended    chan struct{} // closed when run has returned

	mu     sync.Mutex
	status Link
}

// newWire is relay.NewLink, or what a test puts in its place.
type newWire func(*relay.Loop, *[2]relay.Counters, func(relay.Event)) (*relay.Link, error)

// reset asks for the peers of some ends to be closed, and for ends that are not open to be opened at once.
type reset struct {
	sides []relay.Side
	once  sync.Once
	done  chan struct{} // closed when it is done
}

func newReset(sides []relay.Side) *reset { return &reset{sides: sides, done: make(chan struct{})} }

func (r *reset) finish() { r.once.Do(func() { close(r.done) }) }

func newLink(c config.Link, loop *relay.Loop, log *slog.Logger) *link {
	now := time.Now()
	l := &link{
		config:  c,
		loop:    loop,
		log:     log.With("link", c.Name),
		resets:  make(chan *reset),
		newWire: relay.NewLink,
		stop:    make(chan struct{}),
		ended:   make(chan struct{}),
		status:  Link{Name: c.Name, State: LinkStarting, Since: now},
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

// run keeps the link alive until it is stopped: when its group ends for another reason, it is run again.
func (l *link) run() {
	defer close(l.ended)
	delay := newBackOff()
	var pending *reset // one that came while there was nothing to reset
	for {
		began := time.Now()
		err := l.runGroup(pending)
		if errors.Is(err, errStopped) {
			l.settle(LinkStopped)
			l.log.Info("link stopped")
			return
		}
		l.fail("", err)
		l.settle(LinkRetrying)
		if pending != nil {
			pending.finish() // the group may have failed before it came to it
		}
		if time.Since(began) > healthy {
			delay.Reset()
		}
		timer := time.NewTimer(delay.NextBackOff())
		select {
		case <-l.stop:
			timer.Stop()
			l.settle(LinkStopped)
			return
		case pending = <-l.resets:
			timer.Stop()
			delay.Reset()
		case <-timer.C:
			pending = nil
		}
	}
}

func newBackOff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.Multiplier = firstDelay, maxDelay, 2
	return b
}

// runGroup runs the link once, as a group of two actors: the wire, and the control that opens its ends, follows
// what happens on it, resets and stops it.
func (l *link) runGroup(pending *reset) error {
	events := newMailbox()
	over := make(chan error, 1)
	wire, err := l.newWire(l.loop, &l.counters, func(event relay.Event) {
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
	control := &control{link: l, wire: wire, events: events, quit: make(chan struct{})}
	group.Add(func() error { return control.run(pending) }, func(error) { close(control.quit) })
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
	case <-l.loop.Done():
		return errNoLoop
	}
	l.log.Warn("a peer does not take what was sent to it; closing without", "waited", drainTime)
	wire.Close()
	return <-over
}

// errNoLoop says that the event loop, which every link needs, has ended.
var errNoLoop = errors.New("the event loop has ended")

// update changes the status, and lets the link's state follow from its ends'.
func (l *link) update(change func(s *Link, now time.Time)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	change(&l.status, now)
	l.status.setState(derive(l.status.Ends[relay.A].State, l.status.Ends[relay.B].State), now)
}

// settle gives the link a state in which nothing runs.
func (l *link) settle(state LinkState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for side := range l.status.Ends {
		l.status.Ends[side].Peer = nil
		l.status.Ends[side].setState(EndClosed, now)
	}
	l.status.setState(state, now)
}

// fail notes and logs an error of an end, or, with end "", of the whole link.
func (l *link) fail(end string, err error) {
	l.mu.Lock()
	l.status.Failures++
	l.status.Last = &Failure{At: time.Now(), End: end, Message: err.Error()}
	l.mu.Unlock()
	log := l.log
	if end != "" {
		log = log.With("end", end)
	}
	if panicked := (*relay.PanicError)(nil); errors.As(err, &panicked) {
		log = log.With("stack", string(panicked.Stack))
	}
	log.Error("failed; it will be tried again", "error", err)
}

// snapshot returns what is known about the link now.
func (l *link) snapshot() Link {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status.withCounters(&l.counters)
}

// identify finds out who a peer is. It can block on a process that is stuck in the kernel.
func identify(c endpoint.Credentials) *Peer {
	return &Peer{PID: c.PID, UID: c.UID, GID: c.GID, Command: endpoint.Command(c.PID)}
}
