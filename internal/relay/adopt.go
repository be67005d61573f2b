package relay

import (
	"errors"
	"fmt"

	"serialhub/internal/endpoint"
)

// Estate is what an earlier process has left of a link: for each end who listens there, and who is connected. The link that
// adopts it owns it.
type Estate struct {
	Ends [2]EndEstate
	Lost bool // a loss has ended the link; it delivers what was sent, and is over then
}

// EndEstate is what was left of one end.
type EndEstate struct {
	Listener endpoint.Listener // nil if there is none; it listens
	Peer     *endpoint.Peer
	Closing  bool // the peer is to be closed once it has got what was sent to it
	Queued   []endpoint.Peer
	Left     []endpoint.Peer
	Buffer   int // has what the end's peers had sent to nobody; -1 if there is none
}

// Adopt makes the link what an earlier process has left, in one step: before any byte is read, everybody is there who was, and
// the pipes have what was on its way. Who left meanwhile is noticed as ever. It reports Resumed for each peer that is connected, and then
// Queued. The link has nothing yet.
func (k *Link) Adopt(estate Estate) error {
	err := errOver
	k.loop.call(k, func() {
		if k.over || k.ending {
			return
		}
		err = nil
		k.begun = true
		for side, left := range estate.Ends {
			e := k.ends[side]
			if left.Listener != nil {
				accept, werr := k.loop.watch(left.Listener.FD(), 0, k, func(events uint32) { k.knock(e, events) })
				err = errors.Join(err, werr)
				if werr == nil {
					e.listener, e.accept = left.Listener, accept
				}
			}
			if left.Peer != nil {
				err = errors.Join(err, k.resume(e, *left.Peer, left.Closing))
			}
			for _, gone := range left.Left {
				k.peers++
				k.lanes[side].left = append(k.lanes[side].left, &peer{Peer: gone, id: k.peers, rest: noQuota})
			}
			if pipe := k.loop.pool.found[k.lanes[side].id()]; pipe != nil {
				delete(k.loop.pool.found, k.lanes[side].id())
				k.lanes[side].pipe = pipe
			}
			if left.Buffer >= 0 {
				err = errors.Join(err, k.lanes[side].inherit(left.Buffer))
			}
		}
		for side, left := range estate.Ends {
			for _, waiting := range left.Queued {
				err = errors.Join(err, k.requeue(k.ends[side], waiting))
			}
		}
		for _, lane := range k.lanes { // now it is known who is there
			lane.slow = lane.held() > 0
			if k.watcher != nil {
				lane.show(k.watcher.Unseen(lane.from.side, lane.held()))
			}
			k.setAbsent(lane)
		}
		for _, lane := range k.lanes {
			k.pump(lane, 0)
		}
		k.changed = true
		if estate.Lost {
			k.endByLoss()
		}
		k.settle()
	})
	return err
}

// inherit takes over a buffer. The lane has its pipe already.
func (l *lane) inherit(fd int) error {
	left, err := openRing(fd)
	if err != nil {
		return fmt.Errorf("what was buffered is lost: %w", err)
	}
	left.recover(l.held())
	l.buffer.close()
	l.buffer = left
	return nil
}

// watchPeer makes a peer of a connection that was left.
func (k *Link) watchPeer(e *end, left endpoint.Peer) (*peer, error) {
	k.peers++
	p := &peer{Peer: left, id: k.peers}
	var err error
	if p.watch, err = k.loop.watch(p.FD, p.Departure(), k, func(events uint32) { k.ready(e, p, events) }); err != nil {
		p.Close() // it cannot be served
		return nil, err
	}
	return p, nil
}

func (k *Link) resume(e *end, left endpoint.Peer, closing bool) error {
	p, err := k.watchPeer(e, left)
	if err != nil {
		return err
	}
	p.closing = closing
	e.peer = p
	k.hooks.Report(Event{Kind: Resumed, Side: e.side, ID: p.id, Peer: p.Credentials})
	return nil
}

func (k *Link) requeue(e *end, left endpoint.Peer) error {
	p, err := k.watchPeer(e, left)
	if err != nil {
		return err
	}
	k.enqueue(e, p, false)
	k.tell(Event{Kind: Queued, Side: e.side, ID: p.id, Peer: p.Credentials})
	return nil
}

// Forsake closes the pipes that an earlier process has left and no link has adopted.
func (l *Loop) Forsake() { l.call(nil, l.pool.lose) }

// Lost tells whether a loss has ended the link, also if it still delivers what was sent. It may be called during Halt only.
func (k *Link) Lost() bool { return errors.Is(k.outcome, ErrLost) }

// Halt stops the loop between two handlers, so that everything on its way is in a socket or in a pipe that is kept, and runs
// do, which replaces the process or gives an error; then the loop goes on.
func (l *Loop) Halt(do func()) { l.call(nil, do) }
