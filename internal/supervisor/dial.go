package supervisor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"serialhub/internal/endpoint"
	"serialhub/internal/relay"
)

// This file is about ends whose peer is fetched: by connect(2), or by opening a device.

// settleTime is how long a file is left alone that has just appeared. Between bind(2) and listen(2), or before udev has given a device its mode,
// it is of no use.
const settleTime = 20 * time.Millisecond

// attempt is a dial under way.
type attempt struct {
	cancel context.CancelFunc
	done   chan *dialled // unbuffered: once the attempt is given up nobody takes anything, and a peer is closed
}

type dialled struct {
	peer endpoint.Peer
	err  error
}

// fetch begins to dial, unless the end has its peer, or is dialling.
func (c *control) fetch(side relay.Side) {
	o := &c.ends[side]
	if o.attempt != nil || c.taken(side) {
		return
	}
	o.forgetFile()
	ctx, cancel := context.WithCancel(context.Background())
	a := &attempt{cancel: cancel, done: make(chan *dialled)}
	o.attempt = a
	spec, dial, dials := specOf(c.end(side)), c.parts.dial, c.parts.dials
	o.seen = endpoint.Look(spec.Address.Path())
	go func() {
		defer cancel()
		if !dials.begin(ctx) {
			return
		}
		peer, err := dial(ctx, spec)
		select {
		case a.done <- &dialled{peer, err}:
		case <-ctx.Done():
			if err == nil {
				peer.HangUp()
				peer.Close()
			}
			dials.end()
		}
	}()
}

// fetched gives the end the peer that was dialled, or has it tried again.
func (c *control) fetched(side relay.Side, result *dialled) error {
	defer c.parts.dials.end()
	o := &c.ends[side]
	o.attempt = nil
	if result.err != nil {
		return c.openFailed(side, result.err)
	}
	o.again.succeeded()
	c.update(func(s *Link) { s.Ends[side].failing = false })
	c.wire.Enter(side, result.peer)
	return nil
}

// lost dials again after the peer of an end has left. If that was not the hub's doing, it is why the end is being tried again.
func (c *control) lost(event relay.Event) {
	if c.ended {
		return
	}
	why := c.departure(event)
	if why != nil {
		c.note(event.Side.String(), why)
	}
	c.fetchLater(event.Side, why)
}

// departure is why a peer that was dialled is not there any more; nil if that was the hub's doing.
func (c *control) departure(event relay.Event) error {
	switch address := c.end(event.Side).Address; {
	case errors.Is(event.Err, relay.ErrReset), errors.Is(event.Err, relay.ErrPartner):
		return nil
	case event.Err == nil:
		return fmt.Errorf("%s: the connection was closed at the other side", address)
	default:
		return fmt.Errorf("%s: %w", address, event.Err)
	}
}

// fetchLater dials again after a while, unless the end has somebody, or is to be dialled already. The reason is nil if the hub itself has ended the connection.
func (c *control) fetchLater(side relay.Side, why error) {
	if o := &c.ends[side]; o.attempt == nil && o.timer == nil && !c.taken(side) {
		c.wait(side, o.again.lost(), why)
	}
}

// taken tells whether an end has its peer, or one that waits until it can be let in.
func (c *control) taken(side relay.Side) bool {
	end := c.snapshot().Ends[side]
	return end.Peer != nil || len(end.Queued) > 0
}

// refusedByUs is a failure to open an end: whoever answers there may not be its peer.
func (c *control) refusedByUs(event relay.Event) error {
	return c.openFailed(event.Side, fmt.Errorf("%s is served by uid %d (pid %d): %w; add it to allow_uids, or correct the address",
		c.end(event.Side).Address, event.Peer.UID, event.Peer.PID, event.Err))
}

// wait has an end tried again after a while, for a reason or for nil; or sooner, when the file appears that it needs.
func (c *control) wait(side relay.Side, d time.Duration, why error) {
	o := &c.ends[side]
	o.stopTimer()
	if c.ended {
		return
	}
	o.timer = time.NewTimer(d)
	c.update(func(s *Link) {
		end := &s.Ends[side]
		end.failing, end.Error = true, ""
		if why != nil {
			end.Error = brief(why.Error())
		}
	})
	if spec := specOf(c.end(side)); spec.Dials() && spec.Address.Path() != "" {
		c.watchFor(side, spec.Address.Path())
	}
}

// watchFor has the end told when the file appears, or something on the way to it.
func (c *control) watchFor(side relay.Side, path string) {
	o := &c.ends[side]
	o.forgetFile()
	forget, err := c.parts.notices.Appears(path, o.notice)
	if err != nil {
		c.log().Debug("the file is not watched, and looked for now and then", "end", side.String(), "error", err)
		return
	}
	o.forget = forget
	if endpoint.Look(path) != o.seen {
		o.notice() // it came after it was looked for, and before it was watched
	}
}

// appeared dials at once, as if nothing had failed, if the file is another than the one that was tried. Else there is only more of the way to it.
func (c *control) appeared(side relay.Side) {
	o, path := &c.ends[side], c.end(side).Address.Path()
	switch {
	case o.attempt != nil || o.timer == nil:
	case endpoint.Look(path) == o.seen:
		c.watchFor(side, path)
	default:
		o.again.reset()
		o.timer.Reset(settleTime)
	}
}

// abandon gives up a dial that is under way.
func (o *opener) abandon() {
	if o.attempt != nil {
		o.attempt.cancel()
		o.attempt = nil
	}
}

// results gives what a dial has come to, and never while there is none.
func (o *opener) results() <-chan *dialled {
	if o.attempt == nil {
		return nil
	}
	return o.attempt.done
}
