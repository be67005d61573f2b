package supervisor

import (
	"errors"
	"slices"

	"serialhub/internal/relay"
)

// obey carries out a command. One that the link has to hear while it does not run, or that comes when the wire is
// ending already, is handed to it; the control ends then.
func (c *control) obey(cmd *command) error {
	switch {
	case cmd.verb == stop, cmd.verb == update && cmd.next.Disabled:
		return c.hand(cmd, errHanded)
	case cmd.verb == reset && !c.wire.Disconnect(cmd.sides...), !c.wire.Disconnect():
		return c.hand(cmd, errNoWire)
	}
	defer cmd.finish()
	var err error
	switch cmd.verb {
	case reset:
		err = c.reset(cmd.sides)
	case release:
		c.markReleased(cmd.sides)
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
	return err
}

func (c *control) hand(cmd *command, why error) error {
	c.handed = cmd
	return why
}

// reset opens at once what is not open, after its peers have been closed.
func (c *control) reset(sides []relay.Side) error {
	if len(sides) == 1 {
		c.log().Info("reset", "end", sides[0].String())
	} else {
		c.log().Info("reset of both ends")
	}
	c.noteReset(sides)
	if err := c.follow(); err != nil { // whoever was fetched is gone, and is fetched again at once
		return err
	}
	for _, side := range sides {
		c.ends[side].again.reset()
		c.ends[side].accepts.reset()
		if err := c.tryAgain(side); err != nil {
			return err
		}
	}
	return nil
}

// adapt makes a running link what the config says now. An end that has another address gets a new socket; whoever was
// connected to the old one is closed. Everything else is changed in place.
func (c *control) adapt(cmd *command) error {
	if err := c.follow(); err != nil { // so that it is known who is there
		return err
	}
	before := c.config
	c.become(cmd.next)
	c.scribe.write(c.config, false)
	c.closeReady()
	c.ready = cmd.ready
	c.wire.SetRules(rules(c.config))
	if before.Name != c.config.Name {
		c.wire.Renew()
	}
	var moved []relay.Side // given up all at once, before any is opened: one may have had the other's port
	for _, side := range bothSides() {
		o := &c.ends[side]
		o.again.adopt(c.config.Restart)
		o.accepts.adopt(patient(c.config.Restart))
		if specOf(before.Ends()[side]).Via() != specOf(c.end(side)).Via() {
			c.giveUp(side)
			c.closePassed(side)
			moved = append(moved, side)
		}
	}
	if err := c.follow(); err != nil { // whoever was there has left
		return err
	}
	for _, side := range bothSides() {
		was, end, o := before.Ends()[side], c.end(side), &c.ends[side]
		switch {
		case slices.Contains(moved, side):
			if err := c.open(side); err != nil {
				return err
			}
		case specOf(was) == specOf(end):
		case o.listener == nil && !c.taken(side):
			o.abandon()
			if err := c.tryAgain(side); err != nil {
				return err
			}
		default:
			c.adjust(side)
		}
	}
	return nil
}

// adjust has an end that is open, and the peer that is there, take over what differs in the spec.
func (c *control) adjust(side relay.Side) {
	var errs []error
	if listener := c.ends[side].listener; listener != nil {
		errs = append(errs, listener.Adjust(specOf(c.end(side))))
	}
	if peer, err := c.wire.Borrow(side); err == nil {
		errs = append(errs, peer.Adjust(specOf(c.end(side))))
		peer.Return()
		c.watchPulse(side)
	}
	if err := errors.Join(errs...); err != nil {
		c.log().Error("something of the end stays as it was", "end", side.String(), "error", err)
		c.note(side.String(), err)
	}
}

// giveUp closes an end's socket, and whoever has come through it.
func (c *control) giveUp(side relay.Side) {
	c.shut(side)
	c.ends[side].again.reset()
	c.wire.Evict(side)
}
