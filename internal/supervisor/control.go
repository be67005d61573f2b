package supervisor

import (
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"serialhub/internal/endpoint"
	"serialhub/internal/relay"
)

// control is the actor of a link that opens its ends, follows what happens on the wire, and resets and stops it.
// It runs on one goroutine.
type control struct {
	*link
	wire   *relay.Link
	events *mailbox
	quit   chan struct{} // closed by the group when the wire has ended
	ends   [2]opener
}

// opener is what control knows about an end beyond its status.
type opener struct {
	open  bool        // it listens
	timer *time.Timer // when to try again what failed: to open it, or to accept; nil if nothing did
	delay *backoff.ExponentialBackOff
}

// due fires when an end is to be tried again, and never while nothing is wrong with it.
func (o *opener) due() <-chan time.Time {
	if o.timer == nil {
		return nil
	}
	return o.timer.C
}

// run returns errStopped when the link is to stop, and nil when the wire has ended by itself.
func (c *control) run(pending *reset) error {
	c.update(func(s *Link, now time.Time) {
		for side := range s.Ends {
			s.Ends[side].setState(EndOpening, now)
		}
	})
	for _, side := range bothSides() {
		c.ends[side].delay = newBackOff()
		defer c.cancelRetry(side)
		c.open(side)
	}
	if pending != nil {
		c.reset(pending)
	}
	for {
		select {
		case <-c.stop:
			return errStopped
		case <-c.quit:
			return nil
		case <-c.events.ready:
			c.follow()
		case r := <-c.resets:
			c.reset(r)
		case <-c.ends[relay.A].due():
			c.tryAgain(relay.A)
		case <-c.ends[relay.B].due():
			c.tryAgain(relay.B)
		}
	}
}

// open makes an end listen, or has it tried again later.
func (c *control) open(side relay.Side) {
	listener, err := endpoint.Listen(c.end(side).Listen)
	if err == nil {
		err = c.wire.Listen(side, listener)
	}
	if err != nil {
		c.retry(side, err)
		c.update(func(s *Link, now time.Time) { s.Ends[side].setState(EndRetrying, now) })
		return
	}
	c.ends[side].open = true
	c.ends[side].delay.Reset()
	c.update(func(s *Link, now time.Time) { s.Ends[side].setState(EndWaiting, now) })
	c.log.Info("listening", "end", side.String(), "address", c.end(side).Listen.String())
}

// retry notes that something failed at an end, and when to try it again.
func (c *control) retry(side relay.Side, err error) {
	c.fail(side.String(), err)
	c.ends[side].timer = time.NewTimer(c.ends[side].delay.NextBackOff())
}

func (c *control) cancelRetry(side relay.Side) {
	if o := &c.ends[side]; o.timer != nil {
		o.timer.Stop()
		o.timer = nil
	}
}

func (c *control) tryAgain(side relay.Side) {
	c.cancelRetry(side)
	if c.ends[side].open {
		c.wire.Accept(side)
	} else {
		c.open(side)
	}
}

// follow brings the status up to what has happened on the wire.
func (c *control) follow() {
	for _, event := range c.events.take() {
		log := c.log.With("end", event.Side.String())
		switch event.Kind {
		case relay.Arrived:
			c.arrived(event)
			c.wire.Accept(event.Side)
		case relay.Left:
			c.update(func(s *Link, now time.Time) {
				s.Ends[event.Side].Peer = nil
				s.Ends[event.Side].setState(EndWaiting, now)
			})
			log.Info("peer left", "peer_pid", event.Peer.PID)
		case relay.Rejected:
			c.rejected(event)
			c.wire.Accept(event.Side)
		case relay.AcceptFailed:
			c.retry(event.Side, event.Err)
		case relay.CloseFailed:
			log.Warn("could not close the listener cleanly", "error", event.Err)
		}
	}
}

func (c *control) arrived(event relay.Event) {
	peer := identify(event.Peer)
	c.update(func(s *Link, now time.Time) {
		s.Ends[event.Side].Peer = peer
		s.Ends[event.Side].setState(EndConnected, now)
		if s.Ends[event.Side.Other()].State == EndConnected {
			s.Sessions++
		}
	})
	c.ends[event.Side].delay.Reset()
	c.log.Info("peer connected", "end", event.Side.String(), "peer_pid", peer.PID, "peer_uid", peer.UID, "peer_command", peer.Command)
}

func (c *control) rejected(event relay.Event) {
	second := identify(event.Peer)
	attributes := []any{"end", event.Side.String(), "peer_pid", second.PID, "peer_command", second.Command}
	if first := c.snapshot().Ends[event.Side].Peer; first != nil {
		attributes = append(attributes, "connected_pid", first.PID, "connected_command", first.Command)
	}
	c.log.Warn("a second peer was turned away, because the end is taken", attributes...)
}

// reset closes the peers of some ends, and opens those that are not open.
func (c *control) reset(r *reset) {
	for _, side := range r.sides {
		c.log.Info("reset", "end", side.String())
		c.wire.Disconnect(side)
		c.cancelRetry(side)
		c.ends[side].delay.Reset()
		if c.ends[side].open {
			c.wire.Accept(side)
		} else {
			c.open(side)
		}
	}
	c.follow() // so that whoever asked sees the peers gone
	c.update(func(s *Link, _ time.Time) { s.Resets++ })
	r.finish()
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
