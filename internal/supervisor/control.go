package supervisor

import (
	"errors"
	"sync"
	"time"

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
	listening bool
	again     *retry
	timer     *time.Timer   // when to try again what failed: to listen, or to accept; nil if nothing did
	lost      chan struct{} // has room for one; told when the socket's file is gone
	forget    func()        // ends the watch over the file
}

func newControl(l *link, wire *relay.Link, events *mailbox) *control {
	c := &control{link: l, wire: wire, events: events, over: make(chan struct{})}
	for side := range c.ends {
		c.ends[side] = opener{again: newRetry(l.config.Restart), lost: make(chan struct{}, 1), forget: func() {}}
	}
	return c
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
		}
	}()
	c.update(func(*Link) {}) // nothing is open yet
	for _, side := range bothSides() {
		if err := c.open(side); err != nil {
			return err
		}
	}
	if first != nil {
		if err := c.obey(first); err != nil {
			return err
		}
	}
	for {
		var err error
		select {
		case <-c.quit:
			return errQuit
		case <-c.over:
			return nil
		case <-c.events.ready:
			c.follow()
		case cmd := <-c.commands:
			err = c.obey(cmd)
		case <-c.ends[relay.A].due():
			err = c.tryAgain(relay.A)
		case <-c.ends[relay.B].due():
			err = c.tryAgain(relay.B)
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
	o, end := &c.ends[side], c.end(side)
	o.stopTimer()
	listener, err := c.parts.listen(endpoint.Socket{Address: end.Listen, Mode: end.Mode, Owner: end.Owner, Group: end.Group})
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
	o.listening = true
	o.again.succeeded()
	o.forget = c.parts.keeper.Watch(listener, func() {
		select {
		case o.lost <- struct{}{}:
		default:
		}
	})
	c.update(func(s *Link) { s.Ends[side].listening, s.Ends[side].failing = true, false })
	c.log.Info("listening", "end", side.String(), "address", end.Listen.String())
	return nil
}

// bindAgain makes a new socket for an end whose file is gone. The peer that is there stays.
func (c *control) bindAgain(side relay.Side) error {
	c.log.Warn("somebody has deleted or replaced the socket's file; it is made again", "end", side.String(), "address", c.end(side).Listen.String())
	c.ends[side].listening = false
	c.update(func(s *Link) { s.Ends[side].listening = false })
	return c.open(side)
}

// tryAgain does again what has failed at an end.
func (c *control) tryAgain(side relay.Side) error {
	c.ends[side].stopTimer()
	if !c.ends[side].listening {
		return c.open(side)
	}
	c.wire.Accept(side)
	return nil
}

// obey carries out a command.
func (c *control) obey(cmd *command) error {
	switch cmd.verb {
	case stop:
		return &heldError{by: cmd}
	case reset:
		for _, side := range cmd.sides {
			c.log.Info("reset", "end", side.String())
			c.wire.Disconnect(side)
			c.ends[side].again.reset()
			if err := c.tryAgain(side); err != nil {
				cmd.finish()
				return err
			}
		}
		c.follow() // so that whoever asked sees the peers gone
		c.update(func(s *Link) { s.Resets++ })
	case start:
	}
	cmd.finish()
	return nil
}

// follow brings the status up to what has happened on the wire.
func (c *control) follow() {
	for _, event := range c.events.take() {
		switch event.Kind {
		case relay.Arrived:
			c.arrived(event)
		case relay.Queued:
			c.queued(event)
		case relay.Dequeued:
			c.update(func(s *Link) { s.Ends[event.Side].unqueue(event.ID) })
			c.log.Info("peer left while it waited for the end", "end", event.Side.String(), "peer_pid", event.Peer.PID)
			continue
		case relay.Left:
			c.left(event)
			continue
		case relay.Rejected:
			c.rejected(event)
		case relay.AcceptFailed:
			c.acceptFailed(event)
			continue
		case relay.CloseFailed:
			c.log.Warn("could not close the socket cleanly", "end", event.Side.String(), "error", event.Err)
			continue
		case relay.Over: // for the other actor
		}
		c.wire.Accept(event.Side)
	}
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
	c.log.Info("peer connected", attributes(event.Side, peer)...)
}

func (c *control) queued(event relay.Event) {
	peer := identify(event)
	c.update(func(s *Link) {
		end := &s.Ends[event.Side]
		end.Queued = append(end.Queued[:len(end.Queued):len(end.Queued)], peer)
	})
	c.log.Info("peer waits for the end", attributes(event.Side, peer)...)
}

func (c *control) left(event relay.Event) {
	c.update(func(s *Link) { s.Ends[event.Side].Peer = nil })
	attributes := []any{"end", event.Side.String(), "peer_pid", event.Peer.PID}
	if event.Err != nil {
		attributes = append(attributes, "reason", event.Err)
	}
	c.log.Info("peer left", attributes...)
	if rules(c.config).CloseBoth {
		wire, other := c.wire, event.Side.Other()
		time.AfterFunc(drainTime, func() { wire.Expire(other) })
	}
}

func (c *control) rejected(event relay.Event) {
	second := identify(event)
	about := append(attributes(event.Side, second), "reason", event.Err)
	if errors.Is(event.Err, relay.ErrBusy) {
		if first := c.snapshot().Ends[event.Side].Peer; first != nil {
			about = append(about, "connected_pid", first.PID, "connected_command", first.Command, "connected_vm", first.VM)
		}
		if path := c.end(event.Side).Listen.Path(); path != "" && second.isQEMU() {
			about = append(about, "hint", "a QEMU without reconnect= does not try again; once the end is free, type into its monitor: "+
				"chardev-change serial0 socket,path="+path+",reconnect=1")
		}
	}
	c.log.Warn("peer turned away", about...)
}

// acceptFailed has an end accept again after a while. It is never given up for that: who is connected would suffer.
func (c *control) acceptFailed(event relay.Event) {
	o := &c.ends[event.Side]
	wait, ok := o.again.failed()
	if !ok {
		wait = c.config.Restart.MaxDelay
	}
	c.fail(event.Side.String(), event.Err, wait, true)
	o.timer = time.NewTimer(wait)
}

// identify finds out who a peer is. It can block on a process that is stuck in the kernel.
func identify(event relay.Event) Peer {
	who := endpoint.Identify(event.Peer.PID)
	return Peer{
		PID: event.Peer.PID, UID: event.Peer.UID, GID: event.Peer.GID,
		Command: who.Command, VM: who.VM, id: event.ID,
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
