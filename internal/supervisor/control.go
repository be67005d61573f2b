package supervisor

import (
	"errors"
	"sync"
	"time"

	"serialhub/internal/config"
	"serialhub/internal/endpoint"
	"serialhub/internal/relay"
)

// control is the actor of a link that opens its ends, follows what happens on the wire, and carries out commands.
// It runs on one goroutine.
type control struct {
	*link
	wire   *relay.Link
	events *mailbox
	over   chan struct{} // closed by the group when the wire has ended
	ends   [2]opener
}

// opener is what control knows about an end beyond its status.
type opener struct {
	listener *endpoint.Listener // nil while the end is not open; the wire's, who closes it
	again    *retry             // of listening
	accepts  *retry             // of accepting, which is never given up: who is connected would suffer
	timer    *time.Timer        // when to try again what failed: to listen, or to accept; nil if nothing did
	lost     chan struct{}      // has room for one; told when the socket's file is gone
	forget   func()             // ends the watch over the file
	closing  *closing           // a peer that is to be closed, because the other one has left; nil if there is none
}

// closing is a peer that gets what was sent to it, and is closed then; or when it has taken none of it for a while.
type closing struct {
	id    uint64
	sent  uint64 // to the end, when it was looked at last
	timer *time.Timer
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

func newControl(l *link, wire *relay.Link, events *mailbox) *control {
	c := &control{link: l, wire: wire, events: events, over: make(chan struct{})}
	for side := range c.ends {
		c.ends[side] = opener{
			again:   newRetry(l.config.Restart),
			accepts: newRetry(patient(l.config.Restart)),
			lost:    make(chan struct{}, 1),
			forget:  func() {},
		}
	}
	return c
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

// run opens both ends and keeps them open. It returns why the link is to end, or nil when the wire has ended by itself.
func (c *control) run(first *command) error {
	defer func() {
		for side := range c.ends {
			c.ends[side].stopTimer()
			c.ends[side].forget()
			c.ends[side].unclose()
		}
	}()
	c.update(func(*Link) {}) // nothing is open yet
	for _, side := range bothSides() {
		if err := c.open(side); err != nil {
			return err
		}
	}
	if first != nil {
		if first.verb == reset {
			c.update(func(s *Link) { s.Resets++ }) // there was nothing to close, and everything has just been opened
		}
		first.finish()
	}
	for {
		var err error
		select {
		case <-c.quit:
			return errQuit
		case <-c.over:
			return nil
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
		case <-c.ends[relay.A].lost:
			err = c.bindAgain(relay.A)
		case <-c.ends[relay.B].lost:
			err = c.bindAgain(relay.B)
		}
		if err != nil {
			return err
		}
	}
}

// open makes an end listen, or has it tried again later. It returns errGivenUp if it has failed too often.
func (c *control) open(side relay.Side) error {
	o := &c.ends[side]
	o.stopTimer()
	listener, err := c.socket(side)
	if err == nil {
		err = c.wire.Listen(side, listener)
	}
	if err != nil {
		wait, ok := o.again.failed()
		c.fail(side.String(), err, wait, ok)
		if !ok {
			return errGivenUp
		}
		o.timer = time.NewTimer(wait)
		c.update(func(s *Link) { s.Ends[side].failing = true })
		return nil
	}
	o.listener = listener
	o.again.succeeded()
	o.forget = c.parts.keeper.Watch(listener, func() {
		select {
		case o.lost <- struct{}{}:
		default:
		}
	})
	c.update(func(s *Link) { s.Ends[side].listening, s.Ends[side].failing = true, false })
	c.log.Load().Info("listening", "end", side.String(), "address", c.end(side).Listen.String())
	return nil
}

// socket opens an end's socket, or takes the one that is open already.
func (c *control) socket(side relay.Side) (*endpoint.Listener, error) {
	if listener := c.ready[side]; listener != nil {
		c.ready[side] = nil
		return listener, nil
	}
	return c.parts.listen(socketOf(c.end(side)))
}

func socketOf(end config.End) endpoint.Socket {
	return endpoint.Socket{Address: end.Listen, Mode: end.Mode, Owner: end.Owner, Group: end.Group}
}

// bindAgain makes a new socket for an end whose file is gone. The peer that is there stays.
func (c *control) bindAgain(side relay.Side) error {
	c.log.Load().Warn("somebody has deleted or replaced the socket's file; it is made again", "end", side.String(), "address", c.end(side).Listen.String())
	c.shut(side)
	return c.open(side)
}

// giveUp closes an end's socket and whoever is connected to it.
func (c *control) giveUp(side relay.Side) {
	c.shut(side)
	c.ends[side].again.reset()
	c.wire.Unlisten(side)
	c.wire.Disconnect(side)
}

// shut takes note that an end does not listen any more.
func (c *control) shut(side relay.Side) {
	o := &c.ends[side]
	o.stopTimer()
	o.forget()
	o.listener = nil
	c.update(func(s *Link) { s.Ends[side].listening, s.Ends[side].failing = false, false })
}

// tryAgain does again what has failed at an end.
func (c *control) tryAgain(side relay.Side) error {
	c.ends[side].stopTimer()
	if c.ends[side].listener == nil {
		return c.open(side)
	}
	c.wire.Accept(side)
	return nil
}

// obey carries out a command. One that the link has to hear while it does not run, or that comes when the wire is
// ending already, is handed to it; the group ends then.
func (c *control) obey(cmd *command) error {
	switch {
	case cmd.verb == stop, cmd.verb == update && cmd.next.Disabled:
		return c.hand(cmd, errHanded)
	case !c.wire.Disconnect(cmd.sides...):
		return c.hand(cmd, errNoWire)
	}
	var err error
	switch cmd.verb {
	case reset:
		err = c.reset(cmd.sides)
	case release:
		for _, side := range cmd.sides {
			c.giveUp(side)
		}
	case update:
		err = c.adapt(cmd)
	case start, stop:
	}
	if err == nil {
		err = c.follow() // so that whoever asked sees what has changed
	}
	cmd.finish()
	return err
}

func (c *control) hand(cmd *command, why error) error {
	c.handed = cmd
	return why
}

// reset opens at once what is not open, after its peers have been closed.
func (c *control) reset(sides []relay.Side) error {
	if len(sides) == 1 {
		c.log.Load().Info("reset", "end", sides[0].String())
	} else {
		c.log.Load().Info("reset of both ends")
	}
	for _, side := range sides {
		c.ends[side].again.reset()
		c.ends[side].accepts.reset()
		if err := c.tryAgain(side); err != nil {
			return err
		}
	}
	c.update(func(s *Link) { s.Resets++ })
	return nil
}

// adapt makes a running link what the config says now. An end that has another address gets a new socket; whoever was
// connected to the old one is closed. Everything else is changed in place.
func (c *control) adapt(cmd *command) error {
	before := c.config
	c.become(*cmd.next)
	c.closeReady()
	c.ready = cmd.ready
	c.wire.SetRules(rules(c.config))
	for _, side := range bothSides() {
		was, end, o := before.Ends()[side], c.end(side), &c.ends[side]
		o.again.adopt(c.config.Restart)
		o.accepts.adopt(patient(c.config.Restart))
		switch {
		case was.Listen != end.Listen:
			c.giveUp(side)
			if err := c.open(side); err != nil {
				return err
			}
		case o.listener == nil && socketOf(was) != socketOf(end):
			if err := c.tryAgain(side); err != nil {
				return err
			}
		case socketOf(was) != socketOf(end):
			if err := o.listener.SetFile(socketOf(end)); err != nil {
				c.log.Load().Error("the socket's file keeps its mode and its owners", "end", side.String(), "error", err)
				c.note(side.String(), err)
			}
		}
	}
	return nil
}

// follow brings the status up to what has happened on the wire. It returns errNoWire if that is ending by itself.
func (c *control) follow() (err error) {
	for _, event := range c.events.take() {
		switch event.Kind {
		case relay.Arrived:
			c.arrived(event)
			c.seen(event.Side)
		case relay.Queued:
			c.queued(event)
			c.seen(event.Side)
		case relay.Rejected:
			c.rejected(event)
			c.seen(event.Side)
		case relay.Dequeued:
			c.update(func(s *Link) { s.Ends[event.Side].unqueue(event.ID) })
			c.log.Load().Info("peer left while it waited for the end", "end", event.Side.String(), "peer_pid", event.Peer.PID)
		case relay.Left:
			c.left(event)
		case relay.AcceptFailed:
			c.acceptFailed(event)
		case relay.CloseFailed:
			c.log.Load().Warn("could not close the socket cleanly", "end", event.Side.String(), "error", event.Err)
		case relay.Ending:
			err = errNoWire
		case relay.Over: // for the other actor
		}
	}
	return err
}

// seen lets the next one in after an arrival, which shows that accepting works.
func (c *control) seen(side relay.Side) {
	c.ends[side].accepts.succeeded()
	c.wire.Seen(side)
}

func (c *control) arrived(event relay.Event) {
	peer := identify(event)
	c.update(func(s *Link) {
		end := &s.Ends[event.Side]
		end.Peer = &peer
		end.unqueue(peer.id)
		if s.Ends[event.Side.Other()].Peer != nil {
			s.Sessions++
		}
	})
	c.log.Load().Info("peer connected", attributes(event.Side, peer)...)
}

func (c *control) queued(event relay.Event) {
	peer := identify(event)
	c.update(func(s *Link) {
		end := &s.Ends[event.Side]
		end.Queued = append(end.Queued[:len(end.Queued):len(end.Queued)], peer)
	})
	c.log.Load().Info("peer waits for the end", attributes(event.Side, peer)...)
}

func (c *control) left(event relay.Event) {
	c.update(func(s *Link) { s.Ends[event.Side].Peer = nil })
	attributes := []any{"end", event.Side.String(), "peer_pid", event.Peer.PID}
	if event.Err != nil {
		attributes = append(attributes, "reason", event.Err)
	}
	c.log.Load().Info("peer left", attributes...)
	c.ends[event.Side].unclose()
	other := event.Side.Other()
	if partner := c.snapshot().Ends[other].Peer; partner != nil && c.config.OnDisconnect == config.OnDisconnectClose {
		c.ends[other].unclose()
		c.ends[other].closing = &closing{id: partner.id, sent: c.counters[other].Sent.Load(), timer: time.NewTimer(drainTime)}
	}
}

// expire closes a peer that is to be closed, unless it still takes what was sent to it.
func (c *control) expire(side relay.Side) {
	going := c.ends[side].closing
	if sent := c.counters[side].Sent.Load(); sent > going.sent {
		going.sent = sent
		going.timer.Reset(drainTime)
		return
	}
	c.ends[side].unclose()
	c.wire.Expire(side, going.id)
}

func (c *control) rejected(event relay.Event) {
	second := identify(event)
	about := append(attributes(event.Side, second), "reason", event.Err)
	if errors.Is(event.Err, relay.ErrBusy) {
		if first := c.snapshot().Ends[event.Side].Peer; first != nil {
			about = append(about, "connected_pid", first.PID, "connected_command", first.Command)
			if first.VM != "" {
				about = append(about, "connected_vm", first.VM)
			}
		}
		if path := c.end(event.Side).Listen.Path(); path != "" && second.staysAway() {
			about = append(about, "hint", "a QEMU without reconnect= does not try again; once the end is free, type into its monitor: "+
				"chardev-change serial0 socket,path="+path+",reconnect=1")
		}
	}
	c.log.Load().Warn("peer turned away", about...)
}

// acceptFailed has an end accept again after a while.
func (c *control) acceptFailed(event relay.Event) {
	o := &c.ends[event.Side]
	wait, _ := o.accepts.failed()
	c.fail(event.Side.String(), event.Err, wait, true)
	o.stopTimer()
	o.timer = time.NewTimer(wait)
}

// identifyTime is how long a peer's process has to be told apart; one that is stuck in the kernel can block /proc.
const identifyTime = time.Second

// identify finds out who a peer is, as far as that can be told in time.
func identify(event relay.Event) Peer {
	found := make(chan endpoint.Identity, 1)
	go func() { found <- endpoint.Identify(event.Peer.PID) }()
	var who endpoint.Identity
	select {
	case who = <-found:
	case <-time.After(identifyTime):
	}
	return Peer{
		PID: event.Peer.PID, UID: event.Peer.UID, GID: event.Peer.GID,
		Command: who.Command, VM: who.VM, id: event.ID, returns: who.Returns,
	}
}

// attributes are what a log line says of a peer.
func attributes(side relay.Side, p Peer) []any {
	list := []any{"end", side.String(), "peer_pid", p.PID, "peer_uid", p.UID, "peer_command", p.Command}
	if p.VM != "" {
		list = append(list, "peer_vm", p.VM)
	}
	return list
}

// mailbox takes events from the loop, which never waits, to the control, which may. It cannot grow without bound:
// an end reports nobody else before the control has taken in who came.
type mailbox struct {
	ready  chan struct{} // has room for one
	mu     sync.Mutex
	events []relay.Event
}

func newMailbox() *mailbox { return &mailbox{ready: make(chan struct{}, 1)} }

func (m *mailbox) put(event relay.Event) {
	m.mu.Lock()
	m.events = append(m.events, event)
	m.mu.Unlock()
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

func (m *mailbox) take() []relay.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	events := m.events
	m.events = nil
	return events
}
