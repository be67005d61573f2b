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
	Watch  Watcher           // who watches from the beginning, as by Link.Watch; may be nil
}

// Link joins the peers of two ends. It runs on its loop; its exported methods hand their work to the loop, wait
// until it is done, and may be called from any other goroutine.
type Link struct {
	loop    *Loop
	id      uint64
	hooks   Hooks
	rules   Rules
	watcher Watcher // nil if nobody watches
	ends    [2]*end
	lanes   [2]*lane // lanes[side] carries what comes from that side
	peers   uint64   // that have come so far
	ending  bool     // it drains, then closes
	over    bool
	resting bool  // it reads only what has been sent up to now, and lets nobody in
	begun   bool  // it has taken over what an earlier process has left, or has something of its own
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
	k := &Link{loop: loop, id: id, hooks: hooks, watcher: hooks.Watch, rules: rules}
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
