package supervisor

import (
	"errors"
	"time"

	"serialhub/internal/address"
	"serialhub/internal/endpoint"
	"serialhub/internal/relay"
)

// pulse is that of a TCP peer, which is dead if it does not answer any more. TLS connections have theirs felt by the bridge.
type pulse struct {
	endpoint.Pulse
	ticker *time.Ticker
}

// watchPulse begins to feel the pulse of the peer that has come to an end.
func (c *control) watchPulse(side relay.Side) {
	end := c.end(side)
	if end.Address.Kind() == address.TCP {
		c.ends[side].stopPulse()
		c.ends[side].pulse = &pulse{ticker: time.NewTicker(end.KeepAlive / endpoint.Looks)}
	}
}

func (o *opener) stopPulse() {
	if o.pulse != nil {
		o.pulse.ticker.Stop()
		o.pulse = nil
	}
}

func (o *opener) beat() <-chan time.Time {
	if o.pulse == nil {
		return nil
	}
	return o.pulse.ticker.C
}

// feel closes a peer that is dead.
func (c *control) feel(side relay.Side) {
	peer, err := c.wire.Borrow(side)
	if err != nil {
		return
	}
	defer peer.Return()
	var dead *endpoint.DeadError
	if err := c.ends[side].pulse.Feel(peer.FD, c.end(side).KeepAlive); errors.As(err, &dead) {
		if p := c.snapshot().Ends[side].Peer; p != nil {
			c.wire.Lose(side, p.id, dead)
		}
	}
}
