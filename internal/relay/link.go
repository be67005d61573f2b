package relay

import (
	"errors"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"serialhub/internal/endpoint"
)

// Side names one of the two ends of a link.
type Side int

// The two ends.
const (
	A Side = iota
	B
)

func (s Side) String() string { return string(rune('a' + s)) }

// Other is the opposite end.
func (s Side) Other() Side { return 1 - s }

// Counters are what an end has seen. They are written by the loop and may be read at any time.
type Counters struct {
	Connections, Rejected     atomic.Uint64
	Received, Sent, Discarded atomic.Uint64 // bytes: from its peers; to them; from them and dropped
	Copied                    atomic.Bool   // what comes from the peer that is there goes through user space
}

// Event is something that happened at an end, or to the link.
type Event struct {
	Kind EventKind
	Side Side                 // not for Ending and Over
	ID   uint64               // of the peer, unique in its link
	Peer endpoint.Credentials // of the peer
	Err  error                // why, as EventKind says
}

// EventKind tells events apart.
type EventKind int

// The events of a link. Arrived, Queued and Rejected are to be followed by a call of Seen, AcceptFailed by one of Accept.
const (
	Arrived      EventKind = iota // a peer has the end
	Resumed                       // a peer of an earlier process has the end still
	Left                          // the peer of the end is gone; Err is nil if it has closed cleanly
	Queued                        // a peer waits for the end; Arrived or Dequeued follows
	Dequeued                      // a peer is gone that has waited
	Rejected                      // a peer was closed at once; Err is ErrBusy or ErrUID
	AcceptFailed                  // accept(2) failed, with Err; the end accepts nobody until Accept is called
	Ending                        // a loss ends the link; it delivers what was sent, then Over follows
	NoBuffer                      // there is no memory for what is sent to nobody, with Err
	CloseFailed                   // a listener could not be closed cleanly, with Err
	Over                          // the link has closed everything it owned; Err is nil if it was told to
)

// Why a peer was turned away or closed, or a link is over.
var (
	ErrBusy     = errors.New("the end is taken")
	ErrUID      = errors.New("its uid may not connect")
	ErrReset    = errors.New("the end was reset")
	ErrReplaced = errors.New("a newer peer has taken the end")
	ErrPartner  = errors.New("the peer at the other end has left")
	ErrLost     = errors.New("a peer has left, and that ends the link")
	ErrNobody   = errors.New("nobody is connected there")
)

var errOver = errors.New("the link is closed")

// Hooks are what a link calls on its loop's goroutine, and must not block.
type Hooks struct {
	Report func(Event)
	Keep   func([]Part) bool // takes note of what the link owns, so that it outlives the process, or fails and is called again; nil if nobody does
}

// Part is a descriptor that a link owns, and what it is there for. What the link does with it before Keep returns, it does to a
// descriptor that is kept already.
type Part struct {
	Side  Side
	Role  Role
	FD    int
	Via   string // how it, or its peers, have come in; "" for a buffer
	Trace string // what else the next process has to know of it
}

// Role is what a descriptor is to its link.
type Role string

// The roles.
const (
	RoleListener Role = "listener"
	RolePeer     Role = "peer"    // is connected
	RoleClosing  Role = "closing" // likewise, and is closed once it has got what was sent to it
	RoleQueued   Role = "queued"  // waits for the end; in the order of arrival
	RoleLeft     Role = "left"    // has gone, with bytes that are unread; in the order of departure
	RoleBuffer   Role = "buffer"  // has what was sent to nobody
)

// Link joins the peers of two ends. It runs on its loop; its exported methods hand their work to the loop, wait
// until it is done, and may be called from any other goroutine.
type Link struct {
	loop    *Loop
	id      uint64
	hooks   Hooks
	rules   Rules
	ends    [2]*end
	lanes   [2]*lane // lanes[side] carries what comes from that side
	peers   uint64   // that have come so far
	ending  bool     // it drains, then closes
	over    bool
	resting bool  // it reads only what has been sent up to now, and lets nobody in
	changed bool  // the link has other parts than those that are kept
	outcome error // what Over reports
}

// end is one side of a link, and who is connected there.
type end struct {
	side     Side
	count    *Counters
	listener endpoint.Listener // nil while nobody can come
	accept   *watch
	paused   bool    // after an accept that failed
	unseen   int     // arrivals that are reported, and not seen yet
	peer     *peer   // nil while nobody is connected
	queue    []*peer // who waits for the end, first come first
	entering bool    // somebody has been accepted, and is not let in yet
	look     bool    // somebody else may have been at the terminal already when its peer left
}

// NewLink makes a link without listeners. Its id is unique, also among the links of processes before this one, and not 0.
func NewLink(loop *Loop, id uint64, rules Rules, counters *[2]Counters, hooks Hooks) *Link {
	k := &Link{loop: loop, id: id, hooks: hooks, rules: rules}
	for side := range k.ends {
		k.ends[side] = &end{side: Side(side), count: &counters[side]}
	}
	for side := range k.lanes {
		k.lanes[side] = newLane(k, k.ends[side], k.ends[1-side])
	}
	for side := range k.lanes {
		k.setAbsent(k.lanes[side])
	}
	return k
}

// Listen gives an end its listener, in the place of one that it may have. The link owns it from now on, also when it
// returns an error. The end accepts its next peer without a call of Accept. Nobody can connect before the loop knows of the listener,
// so what is sent to whoever has connected is never taken for something that is sent to nobody.
func (k *Link) Listen(side Side, listener endpoint.Listener) error {
	err := errOver
	k.loop.call(k, func() {
		if k.over || k.ending {
			return
		}
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
		entered = true
		k.admit(k.ends[side], fetched)
		k.settle()
	})
	if !entered {
		fetched.HangUp()
		fetched.Close()
	}
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

// drain lets through only what has been sent up to now. The caller settles.
func (k *Link) drain() {
	k.ending = true
	for _, e := range k.ends {
		k.stopListening(e)
	}
	for _, lane := range k.lanes {
		lane.finish()
	}
}

// settle brings the link to rest after each event: it closes whom it has to, lets in who waits, and then waits for
// exactly what can go on.
func (k *Link) settle() {
	if k.over {
		return
	}
	for side, e := range k.ends {
		if e.peer != nil && e.peer.closing && k.lanes[1-side].delivered() {
			k.detach(e, ErrPartner)
		}
	}
	if k.ending && k.lanes[A].delivered() && k.lanes[B].delivered() {
		k.finish(k.outcome)
		return
	}
	for side, e := range k.ends {
		if (k.ending || e.peer != nil && e.peer.closing) && k.lanes[1-side].onTheLine() {
			k.loop.settleLater(k)
		}
	}
	for _, e := range k.ends {
		if e.look && k.admits(e) {
			e.look = false
			k.arriveOne(e)
		}
		if e.peer == nil && len(e.queue) > 0 && k.free(e) {
			first := e.queue[0]
			e.queue = e.queue[1:]
			k.attach(e, first)
		}
	}
	for side, e := range k.ends {
		if e.listener != nil {
			k.loop.interest(e.accept, when(k.admits(e), unix.EPOLLIN))
		}
		if copied := k.lanes[side].copies(); e.count.Copied.Load() != copied {
			e.count.Copied.Store(copied)
		}
		if e.peer != nil {
			readable, writable := k.lanes[side].wantsInput(), k.lanes[1-side].pending()
			k.loop.interest(e.peer.watch, when(readable, unix.EPOLLIN)|when(writable, unix.EPOLLOUT)|e.peer.Departure())
		}
	}
	k.keep()
}

// keep has the link's parts kept, if they have changed.
func (k *Link) keep() {
	if !k.changed {
		return
	}
	k.changed = k.hooks.Keep != nil && !k.hooks.Keep(k.parts())
}

// parts are what the link owns, but for pipes.
func (k *Link) parts() (list []Part) {
	for side, e := range k.ends {
		add := func(role Role, p *peer) {
			list = append(list, Part{Side: Side(side), Role: role, FD: p.FD, Via: p.Via, Trace: p.Trace()})
		}
		if e.listener != nil {
			fd, trace := e.listener.Kept()
			list = append(list, Part{Side: Side(side), Role: RoleListener, FD: fd, Via: e.listener.Via(), Trace: trace})
		}
		if e.peer != nil && e.peer.closing {
			add(RoleClosing, e.peer)
		} else if e.peer != nil {
			add(RolePeer, e.peer)
		}
		for _, p := range e.queue {
			add(RoleQueued, p)
		}
		for _, p := range k.lanes[side].left {
			add(RoleLeft, p)
		}
		if buffer := k.lanes[side].buffer; buffer != nil {
			list = append(list, Part{Side: Side(side), Role: RoleBuffer, FD: buffer.fd})
		}
	}
	return list
}

// free tells whether an end can have another peer now.
func (k *Link) free(e *end) bool {
	return !k.ending && !k.resting && !k.partnerCloses(e) && len(k.lanes[e.side].left) < maxLeft && !k.isTerminal(e)
}

// isTerminal tells whether there is somebody at a terminal, or has been who has left bytes in it. Whoever opens it as well is not another peer.
func (k *Link) isTerminal(e *end) bool {
	left := k.lanes[e.side].left
	return e.peer != nil && e.peer.Nature == endpoint.Terminal || len(left) > 0 && left[0].Nature == endpoint.Terminal
}

// partnerCloses tells whether the peer at the other end is being closed. A newcomer would not belong to it.
func (k *Link) partnerCloses(e *end) bool {
	other := k.ends[e.side.Other()].peer
	return other != nil && other.closing
}

// admits tells whether somebody may be taken from the backlog of an end.
func (k *Link) admits(e *end) bool { return k.free(e) && !e.paused && e.unseen < maxUnseen }

func when(wanted bool, event uint32) uint32 {
	if wanted {
		return event
	}
	return 0
}

// lastCall takes in who has connected to a listener that is about to be closed: it counts as there, and may have sent
// something.
func (k *Link) lastCall(e *end) {
	if e.listener != nil && e.peer == nil {
		k.arrive(e)
	}
}

func (k *Link) stopListening(e *end) {
	if e.listener == nil {
		return
	}
	k.loop.unwatch(e.accept)
	if err := e.listener.Close(); err != nil && !errors.Is(err, os.ErrNotExist) {
		k.hooks.Report(Event{Kind: CloseFailed, Side: e.side, Err: err})
	}
	e.listener, e.accept = nil, nil
	k.changed = true
}

// fail closes a link whose handler panicked.
func (k *Link) fail(err error) { k.finish(err) }

// finish closes everything the link owns.
func (k *Link) finish(err error) {
	if k.over {
		return
	}
	k.over = true
	for _, e := range k.ends {
		k.stopListening(e)
		k.dismissQueue(e)
		if p := e.peer; p != nil {
			e.peer = nil
			k.hangUp(p)
			k.hooks.Report(Event{Kind: Left, Side: e.side, ID: p.id, Peer: p.Credentials, Err: errOver})
		}
	}
	k.closeLanes()
	k.changed = true
	k.keep() // nothing
	k.hooks.Report(Event{Kind: Over, Err: err})
}

func (k *Link) hangUp(p *peer) {
	k.loop.unwatch(p.watch)
	p.HangUp()
	p.Close()
}

func (k *Link) closeLanes() {
	for _, lane := range k.lanes {
		lane.close()
	}
}
