package supervisor

import (
	"errors"
	"log/slog"
	"time"

	"serialhub/internal/config"
	"serialhub/internal/endpoint"
	"serialhub/internal/events"
	"serialhub/internal/relay"
)

// follow brings the status up to what has happened on the wire. It returns errNoWire if that is ending by itself.
func (c *control) follow() error { return c.followAll(c.events.take()) }

func (c *control) followAll(events []relay.Event) (err error) {
	for _, event := range events {
		switch event.Kind {
		case relay.Arrived:
			c.arrived(event)
			c.seen(event.Side)
		case relay.Queued:
			c.queued(event)
			c.seen(event.Side)
		case relay.Rejected:
			fetched := specOf(c.end(event.Side)).Dials()
			c.rejected(event, fetched)
			c.seen(event.Side)
			if fetched && err == nil {
				err = c.refusedByUs(event)
			}
		case relay.Dequeued:
			c.update(func(s *Link) { s.Ends[event.Side].unqueue(event.ID) })
			if specOf(c.end(event.Side)).Dials() && !c.ended {
				c.fetchLater(event.Side, c.departure(event))
			}
			c.guests.left(event.ID, event.Err)
			c.log().Info("peer left while it waited for the end", append([]any{"end", event.Side.String()}, whose(event.Peer)...)...)
		case relay.Left:
			c.left(event)
			c.guests.left(event.ID, event.Err)
		case relay.AcceptFailed:
			c.acceptFailed(event)
		case relay.NoBuffer:
			c.note(event.Side.String(), event.Err)
			c.log().Error("what is sent to nobody is dropped, not buffered", "end", event.Side.String(), "error", event.Err)
		case relay.CloseFailed:
			c.log().Warn("could not close the socket cleanly", "end", event.Side.String(), "error", event.Err)
		case relay.Ending:
			err = errNoWire
		case relay.Resumed, relay.Over: // are seen to elsewhere
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
		c.tell(peerEvent(events.Connected, event.Side, peer, nil))
		end := &s.Ends[event.Side]
		end.Peer = &peer
		end.unqueue(peer.id)
		if s.Ends[event.Side.Other()].Peer != nil {
			s.Sessions++
		}
	})
	c.ends[event.Side].said = ""
	if specOf(c.end(event.Side)).Dials() { // somebody else may have been faster than the one that is dialled
		c.ends[event.Side].abandon()
		c.ends[event.Side].stopTimer()
		c.update(func(s *Link) { s.Ends[event.Side].failing = false })
	}
	c.watchPulse(event.Side)
	c.log().Info("peer connected", attributes(event.Side, peer)...)
}

func (c *control) queued(event relay.Event) {
	peer := identify(event)
	c.update(func(s *Link) {
		end := &s.Ends[event.Side]
		end.Queued = append(end.Queued[:len(end.Queued):len(end.Queued)], peer)
	})
	c.log().Info("peer waits for the end", attributes(event.Side, peer)...)
}

func (c *control) left(event relay.Event) {
	c.update(func(s *Link) {
		if peer := s.Ends[event.Side].Peer; peer != nil {
			c.tell(peerEvent(events.Left, event.Side, *peer, event.Err))
		}
		s.Ends[event.Side].Peer = nil
	})
	attributes := append([]any{"end", event.Side.String()}, whose(event.Peer)...)
	if event.Err != nil {
		attributes = append(attributes, "reason", event.Err)
	}
	c.log().Info("peer left", attributes...)
	c.ends[event.Side].unclose()
	c.ends[event.Side].stopPulse()
	if specOf(c.end(event.Side)).Dials() {
		c.lost(event)
	}
	other := event.Side.Other()
	if partner := c.snapshot().Ends[other].Peer; partner != nil && c.config.OnDisconnect == config.OnDisconnectClose {
		c.ends[other].unclose()
		c.ends[other].closing = &closing{id: partner.id, sent: c.counters[other].Sent.Load(), untaken: c.wire.Untaken(), timer: time.NewTimer(drainTime)}
	}
}

// expire closes a peer that is to be closed, unless it still takes what was sent to it.
func (c *control) expire(side relay.Side) {
	going := c.ends[side].closing
	if sent, untaken := c.counters[side].Sent.Load(), c.wire.Untaken(); sent > going.sent || untaken < going.untaken {
		going.sent, going.untaken = sent, untaken
		going.timer.Reset(drainTime)
		return
	}
	c.ends[side].unclose()
	c.wire.Expire(side, going.id)
}

// rejected tells of a peer that was turned away. One that was fetched is a failure as well, and logged as that.
func (c *control) rejected(event relay.Event, fetched bool) {
	second := identify(event)
	c.tellAside(peerEvent(events.Rejected, event.Side, second, event.Err))
	if fetched {
		return
	}
	about := append(attributes(event.Side, second), "reason", event.Err)
	if errors.Is(event.Err, relay.ErrBusy) {
		if first := c.snapshot().Ends[event.Side].Peer; first != nil {
			about = append(about, "connected_pid", first.PID, "connected_command", first.Command)
			if first.VM != "" {
				about = append(about, "connected_vm", first.VM)
			}
		}
		if path := c.end(event.Side).Address.Path(); path != "" && second.staysAway() {
			about = append(about, "hint", "a QEMU without reconnect= does not try again; once the end is free, type into its monitor: "+
				"chardev-change serial0 socket,path="+path+",reconnect=1")
		}
	}
	c.log().Warn("peer turned away", about...)
}

// acceptFailed has an end accept again after a while.
func (c *control) acceptFailed(event relay.Event) {
	o := &c.ends[event.Side]
	wait, _ := o.accepts.failed()
	c.fail(slog.LevelError, event.Side.String(), event.Err, wait, true)
	o.stopTimer()
	o.timer = time.NewTimer(wait)
}

// identifyTime is how long a peer's process has to be told apart; one that is stuck in the kernel can block /proc.
const identifyTime = time.Second

// identify finds out who a peer is, as far as that can be told in time.
func identify(event relay.Event) Peer {
	type answer struct {
		cred endpoint.Credentials
		who  endpoint.Identity
	}
	found := make(chan answer, 1)
	go func() {
		cred := event.Peer.Complete()
		found <- answer{cred, endpoint.Identify(cred.PID)}
	}()
	a := answer{cred: event.Peer}
	select {
	case a = <-found:
	case <-time.After(identifyTime):
	}
	return Peer{
		PID: a.cred.PID, UID: a.cred.UID, GID: a.cred.GID, Address: brief(a.cred.Address), Subject: brief(a.cred.Subject),
		Command: brief(a.who.Command), VM: brief(a.who.VM), id: event.ID, returns: a.who.Returns,
	}
}

// whose tells a log's reader which peer is meant.
func whose(p endpoint.Credentials) []any {
	if p.Address != "" {
		return []any{"peer_address", p.Address}
	}
	return []any{"peer_pid", p.PID}
}

// attributes are what a log line says of a peer.
func attributes(side relay.Side, p Peer) []any {
	list := []any{"end", side.String()}
	if p.Address != "" {
		list = append(list, "peer_address", p.Address)
	}
	if p.Address == "" || p.PID != 0 {
		list = append(list, "peer_pid", p.PID, "peer_uid", p.UID, "peer_command", p.Command)
	}
	if p.Subject != "" {
		list = append(list, "peer_subject", p.Subject)
	}
	if p.VM != "" {
		list = append(list, "peer_vm", p.VM)
	}
	return list
}
