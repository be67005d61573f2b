package supervisor

import (
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
	c.become(cmd.next)
	c.closeReady()
	c.ready = cmd.ready
	c.wire.SetRules(rules(c.config))
	if before.Name != c.config.Name {
		c.wire.Rename()
	}
	for _, side := range bothSides() {
		was, end, o := before.Ends()[side], c.end(side), &c.ends[side]
		o.again.adopt(c.config.Restart)
		o.accepts.adopt(patient(c.config.Restart))
		switch {
		case was.Listen != end.Listen:
			c.giveUp(side)
			c.closePassed(side)
			if err := c.open(side); err != nil {
				return err
			}
		case o.listener == nil && socketOf(was) != socketOf(end):
			if err := c.tryAgain(side); err != nil {
				return err
			}
		case socketOf(was) != socketOf(end):
			if err := o.listener.SetFile(socketOf(end)); err != nil {
				c.log().Error("the socket's file keeps its mode and its owners", "end", side.String(), "error", err)
				c.note(side.String(), err)
			}
		}
	}
	return nil
}

// giveUp closes an end's socket, and whoever has come through it.
func (c *control) giveUp(side relay.Side) {
	c.shut(side)
	c.ends[side].again.reset()
	c.wire.Evict(side)
}
