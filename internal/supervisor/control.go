package supervisor

import (
	"errors"
	"log/slog"
	"time"

	"serialhub/internal/address"
	"serialhub/internal/config"
	"serialhub/internal/endpoint"
	"serialhub/internal/relay"
)

// control opens the ends of a link, follows what happens on the wire, carries out commands, and ends the wire. It is
// the link's goroutine that runs it.
type control struct {
	*link
	wire    *relay.Link // also the link's
	events  *mailbox
	over    chan error // has room for one; told how the wire has ended
	outcome error      // what over told
	ends    [2]opener
	ended   bool // nothing is to be tried again any more
}

// opener is what control knows about an end beyond its status.
type opener struct {
	listener endpoint.Listener // nil while the end does not listen; the wire's, who closes it
	attempt  *attempt          // to fetch its peer; nil if none is under way
	again    *retry            // of opening it
	accepts  *retry            // of accepting, which is never given up: who is connected would suffer
	timer    *time.Timer       // when to try again what failed: to open it, or to accept; nil if nothing did
	noticed  chan struct{}     // has room for one; told when the file of a listener is gone, or that of a peer appears
	forget   func()            // ends the watch over the file
	seen     endpoint.Sight    // of the file of a peer, just before it was fetched
	pulse    *pulse            // of the peer that is there; nil if its connection tells by itself when it ends
	said     string            // the last failure in a row
	unlinked bool              // the link to its terminal is gone, and could not be made again
	closing  *closing          // a peer that is to be closed, because the other one has left; nil if there is none
}

// opened notes that the end could be opened.
func (o *opener) opened() {
	o.again.succeeded()
	o.said = ""
}

// notice tells that something has happened to the end's file. It is safe to call from any goroutine.
func (o *opener) notice() {
	select {
	case o.noticed <- struct{}{}:
	default:
	}
}

// forgetFile ends the watch over the file, and forgets what was told of it.
func (o *opener) forgetFile() {
	o.forget()
	o.forget = func() {}
	select {
	case <-o.noticed:
	default:
	}
}

// closing is a peer that gets what was sent to it, and is closed then; or when it has taken none of it for a while.
type closing struct {
	id      uint64
	sent    uint64 // to the end, when it was looked at last
	untaken int    // of that, likewise
	timer   *time.Timer
}

func (o *opener) unclose() {
	if o.closing != nil {
		o.closing.timer.Stop()
		o.closing = nil
	}
}

// expired fires when it is time to look whether a peer that is to be closed still takes anything.
func (o *opener) expired() <-chan time.Time {
	if o.closing == nil {
		return nil
	}
	return o.closing.timer.C
}

func newControl(l *link) *control {
	c := &control{link: l, events: newMailbox(), over: make(chan error, 1)}
	for side := range c.ends {
		c.ends[side] = opener{
			again:   newRetry(l.config.Restart),
			accepts: newRetry(patient(l.config.Restart)),
			noticed: make(chan struct{}, 1),
			forget:  func() {},
		}
	}
	return c
}

// makeWire makes the wire.
func (c *control) makeWire() {
	hooks := relay.Hooks{Report: func(event relay.Event) {
		if event.Kind == relay.Over {
			c.over <- event.Err
			return
		}
		c.events.put(event)
	}}
	if c.stash != nil {
		hooks.Keep = c.keep
	}
	hooks.Watch = c.watching.first()
	c.wire = c.parts.newWire(c.parts.loop, c.id(), rules(c.config), &c.counters, hooks)
}

// endWire ends the wire and tells how it has ended. What the peers have sent is delivered first: after a loss for as
// long as they take some of it, else within drainTime.
func (c *control) endWire(why error) error {
	c.wire.Drain()
	for {
		var commands chan *command
		if errors.Is(why, errNoWire) && c.handed == nil {
			commands = c.commands // a command that comes now is heard when the wire has ended
		}
		sent, untaken := c.sent(), c.wire.Untaken()
		select {
		case err := <-c.over:
			return err
		case <-c.parts.loop.Done():
			return errNoLoop
		case c.handed = <-commands:
			continue
		case <-time.After(drainTime):
		}
		if commands != nil && (c.sent() > sent || c.wire.Untaken() < untaken) && !c.quitting() {
			continue
		}
		c.log().Warn("a peer does not take what was sent to it in time; closing without", "waited", drainTime)
		c.wire.Close()
	}
}

// close ends a link in which something is wrong.
func (c *control) close() {
	c.stopWatching()
	if c.wire != nil {
		c.wire.Close()
	}
}

// stopWatching ends everything that would wake the control.
func (c *control) stopWatching() {
	c.ended = true
	for side := range c.ends {
		c.ends[side].stopTimer()
		c.ends[side].forget()
		c.ends[side].abandon()
		c.ends[side].stopPulse()
		c.ends[side].unclose()
	}
}

// patient are rules for something that is never given up.
func patient(rules config.Restart) config.Restart {
	rules.Policy, rules.MaxFailures = config.Always, 0
	return rules
}

// due fires when an end is to be tried again, and never while nothing is wrong with it.
func (o *opener) due() <-chan time.Time {
	if o.timer == nil {
		return nil
	}
	return o.timer.C
}

func (o *opener) stopTimer() {
	if o.timer != nil {
		o.timer.Stop()
		o.timer = nil
	}
}

// run opens both ends and keeps them open. It returns why the link is to end, or errOver when the wire has ended.
func (c *control) run(first *command) error {
	defer c.stopWatching()
	if err := c.takeOver(); err != nil {
		return err
	}
	c.link.wire.Store(c.wire) // others may have it now
	c.watching.connect(c.wire)
	for _, side := range bothSides() {
		if c.ends[side].listener == nil {
			if err := c.open(side); err != nil {
				return err
			}
		}
	}
	first.finish() // there was nothing to close, and everything has just been opened
	for {
		var err error
		select {
		case <-c.quit:
			return errQuit
		case c.outcome = <-c.over:
			return errOver
		case <-c.events.ready:
			err = c.follow()
		case cmd := <-c.commands:
			err = c.obey(cmd)
		case <-c.ends[relay.A].due():
			err = c.tryAgain(relay.A)
		case <-c.ends[relay.B].due():
			err = c.tryAgain(relay.B)
		case <-c.ends[relay.A].expired():
			c.expire(relay.A)
		case <-c.ends[relay.B].expired():
			c.expire(relay.B)
		case <-c.ends[relay.A].noticed:
			err = c.fileChanged(relay.A)
		case <-c.ends[relay.B].noticed:
			err = c.fileChanged(relay.B)
		case result := <-c.ends[relay.A].results():
			err = c.fetched(relay.A, result)
		case result := <-c.ends[relay.B].results():
			err = c.fetched(relay.B, result)
		case <-c.ends[relay.A].beat():
			c.feel(relay.A)
		case <-c.ends[relay.B].beat():
			c.feel(relay.B)
		}
		if err != nil {
			return err
		}
	}
}

// open makes an end listen, or fetches its peer; what fails is tried again later. It returns errGivenUp if it has failed too often.
func (c *control) open(side relay.Side) error {
	if c.released[side] {
		return nil // its next address comes with the update
	}
	c.ends[side].stopTimer()
	if specOf(c.end(side)).Dials() {
		c.fetch(side)
		return nil
	}
	listener, err := c.socket(side)
	if err == nil {
		err = c.wire.Listen(side, listener)
	}
	if err != nil {
		return c.openFailed(side, err)
	}
	c.watchOver(side, listener)
	c.update(func(s *Link) { s.Ends[side].listening, s.Ends[side].failing = true, false })
	c.log().Info("listening", "end", side.String(), "address", c.end(side).Address.String())
	return nil
}

// openFailed has an end tried again later, or returns errGivenUp if it has failed too often.
func (c *control) openFailed(side relay.Side, err error) error {
	o := &c.ends[side]
	wait, ok := o.again.failed()
	c.failOnce(side, err, wait, ok)
	if !ok {
		return errGivenUp
	}
	c.wait(side, wait, err)
	return nil
}

// failOnce is fail for an end, which says the same thing loudly only once.
func (c *control) failOnce(side relay.Side, err error, wait time.Duration, again bool) {
	o := &c.ends[side]
	level := slog.LevelError
	if again && o.said == err.Error() {
		level = slog.LevelDebug // it may be said every few seconds, for days
	}
	o.said = err.Error()
	c.fail(level, side.String(), err, wait, again)
}

// watchOver takes note that an end listens, and has its file looked after.
func (c *control) watchOver(side relay.Side, listener endpoint.Listener) {
	o := &c.ends[side]
	o.listener = listener
	o.opened()
	o.forget = c.parts.keeper.Watch(listener, o.notice)
}

// socket opens an end's socket, or takes the one that is open already.
func (c *control) socket(side relay.Side) (endpoint.Listener, error) {
	if listener := c.ready[side]; listener != nil {
		c.ready[side] = nil
		return listener, nil
	}
	if c.passed[side] >= 0 {
		return c.foreign(side)
	}
	return c.parts.bind(specOf(c.end(side)))
}

// specOf translates what the file says of an end into what opens it.
func specOf(end config.End) endpoint.Spec {
	return endpoint.Spec{
		Address: end.Address, Connects: end.Connects,
		Mode: end.Mode, Owner: end.Owner, Group: end.Group,
		KeepAlive: end.KeepAlive, TLS: endpoint.TLS(end.TLS), Serial: endpoint.Serial(end.Serial),
	}
}

// fileChanged makes a listener's file again that is gone, or dials because the file has come that was missing.
func (c *control) fileChanged(side relay.Side) error {
	switch {
	case c.ends[side].listener == nil:
		c.appeared(side)
		return nil
	case c.end(side).Address.Kind() == address.PTY:
		c.log().Warn("somebody has deleted or replaced the link to the terminal; it is made again", "end", side.String(), "address", c.end(side).Address.String())
		c.linkAgain(side)
		return nil
	default:
		return c.bindAgain(side)
	}
}

// linkAgain makes the link to a terminal again. The terminal stays, and who is at it.
func (c *control) linkAgain(side relay.Side) {
	o := &c.ends[side]
	o.forgetFile()
	o.stopTimer()
	err := o.listener.Listen()
	o.unlinked = err != nil
	if err != nil {
		wait, _ := o.accepts.failed()
		c.failOnce(side, err, wait, true)
		o.timer = time.NewTimer(wait)
		return
	}
	c.watchOver(side, o.listener)
	c.wire.Renew()
}

// bindAgain makes a new socket for an end whose file is gone. The peer that is there stays.
func (c *control) bindAgain(side relay.Side) error {
	c.log().Warn("somebody has deleted or replaced the socket's file; it is made again", "end", side.String(), "address", c.end(side).Address.String())
	c.shut(side)
	return c.open(side)
}

// shut takes note that an end is not open any more.
func (c *control) shut(side relay.Side) {
	o := &c.ends[side]
	o.stopTimer()
	o.forgetFile()
	o.abandon()
	o.listener = nil
	c.update(func(s *Link) { s.Ends[side].listening, s.Ends[side].failing = false, false })
}

// tryAgain does again what has failed at an end.
func (c *control) tryAgain(side relay.Side) error {
	c.ends[side].stopTimer()
	switch o := &c.ends[side]; {
	case o.listener == nil:
		return c.open(side)
	case o.unlinked:
		c.linkAgain(side)
	default:
		c.wire.Accept(side)
	}
	return nil
}
