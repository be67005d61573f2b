package supervisor

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"serialhub/internal/config"
	"serialhub/internal/continuity"
	"serialhub/internal/endpoint"
	"serialhub/internal/events"
	"serialhub/internal/relay"
)

// drainTime is how long a link that stops waits for a peer to take what was sent to it.
const drainTime = 3 * time.Second

// link keeps one link alive. One goroutine runs it; the exported view of it is safe to read from any.
type link struct {
	config   *config.Link         // as of the last update, and never changed; for the goroutine that runs the link
	ready    [2]endpoint.Listener // that are open already, and not used yet; likewise
	parts    parts
	counters [2]relay.Counters
	commands chan *command
	again    *retry                     // of the link as a whole
	legacy   *legacy                    // what an earlier process has left, until it is taken over
	passed   [2]int                     // sockets of the service manager, which a life makes a copy of; -1 for none
	stash    *continuity.LinkStash      // where the link's parts are kept; nil if nowhere
	rests    bool                       // it does not run at first
	wire     atomic.Pointer[relay.Link] // while it lives
	watching watching
	scribe   scribe
	guests   guests
	released [2]bool       // ends whose address another end is to have; they open nothing until the next update
	handed   *command      // one that the control has taken, and the link is to hear when the wire has ended
	quit     chan struct{} // closed to end it
	ended    chan struct{} // closed when run has returned

	mu     sync.Mutex
	status Link
	told   LinkState // the state as of the last event
}

// parts are what all links share, and what a test may put a faulty one in the place of.
type parts struct {
	log      *slog.Logger
	stopping <-chan struct{} // closed when the hub stops
	loop     *relay.Loop
	keeper   *endpoint.Keeper
	tidier   *tidier
	store    *continuity.Store // nil if nothing is to outlive the process
	adopting *sync.WaitGroup   // has one for each link that has not taken over yet what was left for it
	notices  *endpoint.Notices
	events   *events.Log
	dials    *dials
	newWire  func(*relay.Loop, uint64, relay.Rules, *[2]relay.Counters, relay.Hooks) *relay.Link
	opener   *endpoint.Opener
	bind     func(endpoint.Spec) (endpoint.Listener, error)              // the opener's
	dial     func(context.Context, endpoint.Spec) (endpoint.Peer, error) // likewise
}

func newLink(c *config.Link, p parts, ready [2]endpoint.Listener, left *legacy) *link {
	l := &link{
		ready:    ready,
		config:   c,
		legacy:   left,
		passed:   [2]int{-1, -1},
		parts:    p,
		commands: make(chan *command),
		quit:     make(chan struct{}),
		ended:    make(chan struct{}),
	}
	l.scribe.link, l.watching.counters = l, &l.counters
	now := time.Now()
	l.status.setState(LinkStarting, now)
	for side := range l.status.Ends {
		l.status.Ends[side].setState(EndOpening, now)
	}
	l.takeTape()
	l.become(c)
	l.again = newRetry(c.Restart)
	l.openStash()
	l.told = l.status.State
	if left != nil && left.status != nil {
		l.rests = l.restore(left.status)
		l.told = left.status.State
	}
	return l
}

// become takes over what the config says of the link, and changes nothing of what runs.
func (l *link) become(c *config.Link) {
	l.config = c
	l.released = [2]bool{}
	l.publish(c)
	if err := l.watching.configure(c.Scrollback, c.Scrollback > 0 || c.Transcript != nil); err != nil {
		l.note("", err)
		l.log().Error("there is no scrollback, and no transcript", "error", err)
	}
}

// publish makes known what the config says.
func (l *link) publish(c *config.Link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Name, l.status.Disabled, l.status.Scrollback = c.Name, c.Disabled, c.Scrollback
	for side, end := range c.Ends() {
		l.status.Ends[side].Address, l.status.Ends[side].Way = end.Address.String(), end.Way()
	}
}

func bothSides() []relay.Side { return []relay.Side{relay.A, relay.B} }

func (l *link) end(side relay.Side) config.End { return l.config.Ends()[side] }

// run keeps the link alive until the hub stops. It lets the link live, and why that has ended decides whether it lives
// again, after a while or at once, or rests until a command.
func (l *link) run() {
	defer close(l.ended)
	defer l.closeStash()
	defer l.closeReady()
	defer l.watching.close()
	defer l.scribe.end()
	disabled := l.config.Disabled && !l.legacy.runs()
	l.scribe.write(l.config, disabled)
	var first *command // what a life begins with
	var wake <-chan time.Time
	runs := !disabled && !l.rests
	if !runs {
		l.dropLegacy()
	}
	if disabled {
		l.settle(LinkStopped)
	}
	for runs || l.rest(wake, &first) {
		runs = false
		l.again.succeeded()
		err := l.live(first)
		l.closeReady()
		first.finish() // it may have ended before it came to it
		var state LinkState
		state, wake = l.judge(err)
		l.settle(state)
		l.wire.Store(nil)
		l.watching.connect(nil)
		if errors.Is(err, errQuit) {
			l.handed.finish()
			return
		}
	}
}

// rest waits until the link is to live: when wake fires, or because of a command, which is then the first of its life.
// It returns false when the link is to end for good.
func (l *link) rest(wake <-chan time.Time, first **command) bool {
	*first = nil
	for {
		cmd := l.handed
		l.handed = nil
		if cmd == nil {
			select {
			case <-l.quit:
				l.settle(LinkStopped)
				return false
			case <-wake:
				return true
			case cmd = <-l.commands:
			}
		}
		runs, rests := l.hear(cmd)
		if runs {
			l.again = newRetry(l.config.Restart)
			*first = cmd
			return true
		}
		if rests {
			l.settle(LinkStopped)
			wake = nil
		}
		cmd.finish()
	}
}

// hear lets a command change a link that does not run, and tells whether it runs then, or rests until the next command.
func (l *link) hear(cmd *command) (runs, rests bool) {
	switch cmd.verb {
	case reset:
		l.scribe.write(l.config, false)
		l.noteReset(cmd.sides)
		return true, false
	case start:
		l.scribe.write(l.config, false)
		return true, false
	case stop:
		return false, true
	case update:
		stopped := l.snapshot().State == LinkStopped && !l.config.Disabled
		l.become(cmd.next)
		l.scribe.write(l.config, l.config.Disabled)
		l.closeReady()
		l.ready = cmd.ready
		if !l.config.Disabled && !stopped {
			return true, false
		}
		l.closeReady()
		return false, true
	case release: // it has no sockets
		l.markReleased(cmd.sides)
	}
	return false, false
}

func (l *link) markReleased(sides []relay.Side) {
	for _, side := range sides {
		l.released[side] = true
	}
}

// closeReady closes the sockets that the link was given and has no use for.
func (l *link) closeReady() {
	for side, listener := range l.ready {
		if listener != nil {
			if err := listener.Close(); err != nil {
				l.log().Warn("could not close the socket cleanly", "end", relay.Side(side).String(), "error", err)
			}
			l.ready[side] = nil
		}
	}
}

// judge decides what becomes of a link that has lived once: the state it settles in and, if it is tried again, when.
func (l *link) judge(err error) (LinkState, <-chan time.Time) {
	l.again.adopt(l.config.Restart)
	switch {
	case errors.Is(err, errQuit):
		l.log().Info("link stopped")
		return LinkStopped, nil
	case errors.Is(err, errHanded):
		l.log().Info("link stopped on command")
		return LinkStopped, nil
	case errors.Is(err, relay.ErrLost):
		l.log().Info("link stopped, because a peer has left", "restart", string(l.config.Restart.Policy))
		return LinkStopped, nil
	case errors.Is(err, errGivenUp):
		return LinkFailed, nil
	}
	wait, ok := l.again.failed()
	l.fail(slog.LevelError, "", err, wait, ok)
	if !ok {
		return LinkFailed, nil
	}
	return LinkRetrying, time.After(wait)
}

// live runs the link once: it opens its ends and keeps them open, until it is told to end or the wire has ended. A panic
// is a failure of this link alone.
func (l *link) live(first *command) (err error) {
	c := newControl(l)
	defer func() {
		if value := recover(); value != nil {
			err = &relay.PanicError{Value: value, Stack: debug.Stack()}
			c.close()
		}
	}()
	c.makeWire()
	defer c.follow() //nolint:errcheck // what happened while the wire was closed; it has ended anyway
	why := c.run(first)
	if errors.Is(why, errOver) {
		return c.outcome
	}
	outcome := c.endWire(why)
	if errors.Is(why, errNoWire) {
		return outcome
	}
	return why
}

// quitting tells whether the link, or the whole hub, is to end.
func (l *link) quitting() bool {
	select {
	case <-l.quit:
		return true
	case <-l.parts.stopping:
		return true
	default:
		return false
	}
}

// sent is how many bytes the peers of both ends have taken.
func (l *link) sent() uint64 {
	return l.counters[relay.A].Sent.Load() + l.counters[relay.B].Sent.Load()
}

// rules translates what the file says of a link into what the wire does.
func rules(c *config.Link) relay.Rules {
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
	for side, end := range c.Ends() {
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

// update changes the status, and lets the states follow from what is known then. Whatever changes the status publishes what it does, so that nobody sees the one without
// the other; and change what it does before that.
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
	l.tellState()
	l.parts.tidier.stir()
}

// settle gives the link a state in which nothing runs.
func (l *link) settle(state LinkState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for side := range l.status.Ends {
		e := &l.status.Ends[side]
		if e.Peer != nil { // whose departure nobody has reported
			left := peerEvent(events.Left, relay.Side(side), *e.Peer, errClosed)
			left.At = now // no later than the state that comes of it
			l.tell(left)
		}
		e.Peer, e.Queued, e.listening, e.failing = nil, nil, false, false
		e.setState(EndClosed, now)
	}
	l.status.setState(state, now)
	l.tellState()
}

// fail notes and logs an error of an end or, with end "", of the whole link, and what becomes of it.
func (l *link) fail(level slog.Level, end string, err error, wait time.Duration, again bool) {
	l.note(end, err)
	attributes := []any{"error", err}
	if end != "" {
		attributes = append(attributes, "end", end)
	}
	if panicked := (*relay.PanicError)(nil); errors.As(err, &panicked) {
		attributes = append(attributes, "stack", string(panicked.Stack))
	}
	if again {
		l.log().Log(context.Background(), level, "failed; it is tried again", append(attributes, "after", wait.Round(time.Millisecond))...)
	} else {
		l.log().Error("failed; the link is given up until it is reset or started", attributes...)
	}
}

// note counts a failure, and keeps it as the last one.
func (l *link) note(end string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Failures++
	l.status.Last = &Failure{At: time.Now(), End: end, Message: brief(err.Error())}
	l.tell(events.Event{At: l.status.Last.At, Type: events.Fault, End: end, Message: l.status.Last.Message})
}

// noteReset counts a reset, and tells of it before whatever comes of it.
func (l *link) noteReset(sides []relay.Side) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Resets++
	l.tell(resetEvent(sides))
}

// name is what the link is called now.
func (l *link) name() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status.Name
}

// log is the hub's log with the link's name. It is made anew each time: most links have little to say.
func (l *link) log() *slog.Logger { return l.parts.log.With("link", l.name()) }

// snapshot returns what is known about the link now.
func (l *link) snapshot() Link {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status.withCounters(&l.counters)
}
