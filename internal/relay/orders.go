package relay

import (
	"errors"

	"golang.org/x/sys/unix"

	"serialhub/internal/endpoint"
)

// This file is what a link can be told, from any goroutine but the loop's.

// Listen gives an end its listener, in the place of one that it may have. The link owns it from now on, also when it
// returns an error. The end accepts its next peer without a call of Accept. Nobody can connect before the loop knows of the listener,
// so what is sent to whoever has connected is never taken for something that is sent to nobody.
func (k *Link) Listen(side Side, listener endpoint.Listener) error {
	err := errOver
	k.loop.call(k, func() {
		if k.over || k.ending {
			return
		}
		k.begun = true
		e := k.ends[side]
		if err = listener.Listen(); err != nil {
			return
		}
		var accept *watch
		if accept, err = k.loop.watch(listener.FD(), 0, k, func(events uint32) { k.knock(e, events) }); err == nil {
			k.lastCall(e)
			k.stopListening(e)
			e.listener, e.accept, e.paused = listener, accept, false
			k.changed = true
			k.settle()
		}
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	return nil
}

// Evict closes the listener of an end, and whoever has come through it: its peer, and those who wait for the end.
func (k *Link) Evict(side Side) {
	k.loop.call(k, func() {
		e := k.ends[side]
		k.stopListening(e)
		k.dismissQueue(e)
		if e.peer != nil {
			k.detach(e, ErrReset)
		}
		k.settle()
	})
}

// dismissQueue hangs up on those who wait for an end.
func (k *Link) dismissQueue(e *end) {
	for _, p := range e.queue {
		k.hangUp(p)
		k.hooks.Report(Event{Kind: Dequeued, Side: e.side, ID: p.id, Peer: p.Credentials})
	}
	e.queue = nil
	k.changed = true
}

// SetRules changes how the link behaves from now on. Whoever is connected stays.
func (k *Link) SetRules(rules Rules) {
	k.loop.call(k, func() {
		if k.over {
			return
		}
		k.rules = rules
		for _, lane := range k.lanes {
			k.setAbsent(lane)
		}
		k.settle()
	})
}

// setAbsent has a lane do as the rules say. Without memory for a buffer the link goes on, and drops what it cannot keep.
func (k *Link) setAbsent(lane *lane) {
	if err := lane.setAbsent(k.rules.Absent, k.rules.BufferSize); err != nil {
		k.hooks.Report(Event{Kind: NoBuffer, Side: lane.from.side, Err: err})
	}
}

// Seen tells that an arrival, which was reported, has been taken in.
func (k *Link) Seen(side Side) {
	k.loop.call(k, func() {
		k.ends[side].unseen--
		k.settle()
	})
}

// Accept lets an end accept again after AcceptFailed.
func (k *Link) Accept(side Side) {
	k.loop.call(k, func() {
		k.ends[side].paused = false
		k.settle()
	})
}

// Disconnect closes the peers of some ends, all at once; what they have said before is still delivered to who stays.
// It returns false if the link is over, or ends, so that nothing can be expected of it any more.
func (k *Link) Disconnect(sides ...Side) (runs bool) {
	k.loop.call(k, func() {
		if runs = !k.over && !k.ending; !runs {
			return
		}
		for _, side := range sides {
			if e := k.ends[side]; e.peer != nil {
				k.detach(e, ErrReset)
			}
		}
		k.settle()
	})
	return runs
}

// Enter gives an end a peer that was fetched for it. The link owns it from now on.
func (k *Link) Enter(side Side, fetched endpoint.Peer) {
	entered := false
	k.loop.call(k, func() {
		if k.over || k.ending {
			return
		}
		entered, k.begun = true, true
		k.admit(k.ends[side], fetched)
		k.settle()
	})
	if !entered {
		fetched.HangUp()
		fetched.Close()
	}
}

// Attach makes somebody the peer of an end who has not come to its address. When he leaves, that is no loss: it ends no link, and closes nobody else. A peer that is there is closed for him if replace is true;
// else Attach returns ErrBusy. Where the other end's peer is to be closed first, the newcomer waits for that. The link owns him from now on, unless
// it returns an error.
func (k *Link) Attach(side Side, newcomer endpoint.Peer, replace bool) (id uint64, err error) {
	err = errOver
	k.loop.call(k, func() {
		if k.over || k.ending {
			return
		}
		defer k.settle()
		k.begun = true
		e := k.ends[side]
		k.arrive(e) // who has connected was first
		k.noticeHangup(e)
		if k.ending || k.resting {
			return
		}
		if !replace && (e.peer != nil || len(e.queue) > 0) {
			err = ErrBusy
			return
		}
		k.peers++
		p := &peer{Peer: newcomer, id: k.peers, guest: true}
		id = p.id
		if p.watch, err = k.loop.watch(p.FD, p.Departure(), k, func(events uint32) { k.ready(e, p, events) }); err != nil {
			return
		}
		if e.peer != nil {
			k.detach(e, ErrReplaced)
		}
		if k.free(e) {
			k.attach(e, p)
			return
		}
		k.enqueue(e, p, true)
		k.keep()
		k.tell(Event{Kind: Queued, Side: side, ID: p.id, Peer: p.Credentials})
	})
	return id, err
}

// Lose closes a peer that has failed without its connection being closed.
func (k *Link) Lose(side Side, id uint64, why error) {
	k.loop.call(k, func() {
		if e := k.ends[side]; e.peer != nil && e.peer.id == id {
			k.depart(e, why)
			k.settle()
		}
	})
}

// Borrow returns the peer of an end with a descriptor of its own, which the caller closes by close(2); or an error, if there is none.
func (k *Link) Borrow(side Side) (borrowed endpoint.Peer, err error) {
	err = errOver
	k.loop.call(k, func() {
		if e := k.ends[side]; k.over || e.peer == nil {
			err = ErrNobody
		} else {
			borrowed = e.peer.Peer
			borrowed.FD, err = unix.FcntlInt(uintptr(e.peer.FD), unix.F_DUPFD_CLOEXEC, 0)
		}
	})
	return borrowed, err
}

// Expire closes a peer if it is to be closed anyway, and does not take what was sent to it.
func (k *Link) Expire(side Side, id uint64) {
	k.loop.call(k, func() {
		if e := k.ends[side]; e.peer != nil && e.peer.id == id && e.peer.closing {
			k.detach(e, ErrPartner)
			k.settle()
		}
	})
}

// Untaken is how much the peers have still to take out of their sockets, as SIOCOUTQ of unix(7) counts it, with the
// kernel's overhead. It falls when they read, also while nothing more can be sent to them yet.
func (k *Link) Untaken() (sum int) {
	k.loop.call(k, func() {
		for _, e := range k.ends {
			if e.peer != nil {
				sum += e.peer.Untaken()
			}
		}
	})
	return sum
}

// Drain stops listening, delivers what the peers have sent up to now, and then closes the link, which reports Over.
// A receiver that does not read holds it up until Close.
func (k *Link) Drain() {
	k.loop.call(k, func() {
		if k.over || k.ending {
			return
		}
		for _, e := range k.ends {
			k.lastCall(e)
		}
		k.drain()
		k.settle()
	})
}

// Rest has the link read only what has been sent up to now, and let nobody in, so that it can be left to the next process. It
// tells how many of these bytes are still to be delivered.
func (k *Link) Rest() (left int) {
	k.loop.call(k, func() {
		if !k.resting && !k.ending && !k.over {
			k.resting = true
			for _, lane := range k.lanes {
				lane.finish()
			}
			k.settle()
		}
		for _, lane := range k.lanes {
			if !k.over && !lane.delivered() {
				left += lane.held() + lane.unread()
			}
		}
	})
	return left
}

// Close closes the link at once.
func (k *Link) Close() {
	k.loop.call(k, func() { k.finish(k.outcome) })
}
