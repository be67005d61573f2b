package relay

import (
	"errors"
	"fmt"
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
}

// Event is something that happened at an end, or to the link.
type Event struct {
	Kind EventKind
	Side Side                 // not for Over
	Peer endpoint.Credentials // for Arrived, Left and Rejected
	Err  error                // for AcceptFailed, CloseFailed and Over
}

// EventKind tells events apart.
type EventKind int

// The events of a link. After Arrived, Rejected and AcceptFailed the end accepts nobody until Accept is called.
const (
	Arrived      EventKind = iota // a peer is connected
	Left                          // the peer of the end is gone, or has been closed
	Rejected                      // a second peer came and was closed at once
	AcceptFailed                  // accept(2) failed, with Err
	CloseFailed                   // a listener could not be closed cleanly, with Err
	Over                          // the link has closed everything it owned; Err is nil unless it failed
)

// Link joins the peers of two ends. It runs on its loop; its exported methods hand their work to the loop, wait
// until it is done, and may be called from any other goroutine.
type Link struct {
	loop   *Loop
	report func(Event)
	ends   [2]*end
	lanes  [2]*lane // lanes[side] carries what comes from that side
	ending bool     // drains, then closes
	over   bool
}

// end is one side of a link, and who is connected there.
type end struct {
	side      Side
	count     *Counters
	listener  *endpoint.Listener // nil while the end is not open
	accept    *watch
	accepting bool  // not while an arrival is being reported
	peer      *peer // nil while nobody is connected
}

// peer is a connected program. The link owns its descriptor.
type peer struct {
	endpoint.Peer
	watch  *watch
	silent bool // it has shut down its sending side, and may still be listening
}

// NewLink makes a link without listeners. Events are reported on the loop's goroutine, so report must not block.
func NewLink(loop *Loop, counters *[2]Counters, report func(Event)) (*Link, error) {
	k := &Link{loop: loop, report: report}
	for side := range k.ends {
		k.ends[side] = &end{side: Side(side), count: &counters[side]}
	}
	for side := range k.lanes {
		lane, err := newLane(k.ends[side], k.ends[1-side], loop.scratch)
		if err != nil {
			if side == 1 {
				k.lanes[0].close()
			}
			return nil, err
		}
		k.lanes[side] = lane
	}
	return k, nil
}

// Listen gives an end its listener, which the link owns from now on, also when it returns an error.
// The end accepts its first peer without a call of Accept.
func (k *Link) Listen(side Side, listener *endpoint.Listener) error {
	err := errOver
	k.loop.call(k, func() {
		if k.over || k.ending {
			return
		}
		e := k.ends[side]
		e.accept, err = k.loop.watch(listener.FD(), 0, k, func(uint32) { k.arrive(e) })
		if err == nil {
			e.listener, e.accepting = listener, true
			k.settle()
		}
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	return nil
}

// maxLeft is how many peers may have left an end with bytes that nobody has read yet, before the next one has to
// wait in the backlog.
const maxLeft = 8

var errOver = errors.New("the link is closed")

// Accept lets an end accept its next peer.
func (k *Link) Accept(side Side) {
	k.loop.call(k, func() {
		k.ends[side].accepting = true
		k.settle()
	})
}

// Disconnect closes the peer of an end, if there is one; what it has said before is still delivered.
func (k *Link) Disconnect(side Side) {
	k.loop.call(k, func() {
		if e := k.ends[side]; e.peer != nil {
			k.depart(e)
			k.settle()
		}
	})
}

// Drain stops listening, delivers what the peers have sent up to now, and then closes the link, which reports Over.
// A receiver that does not read holds it up until Close.
func (k *Link) Drain() {
	k.loop.call(k, func() {
		if k.over || k.ending {
			return
		}
		k.ending = true
		for _, e := range k.ends {
			if e.listener != nil && e.peer == nil {
				k.arrive(e) // whoever has connected counts as there, and may have sent something
			}
			k.stopListening(e)
		}
		for _, lane := range k.lanes {
			lane.finish()
		}
		k.settle()
	})
}

// Close closes the link at once.
func (k *Link) Close() {
	k.loop.call(k, func() { k.finish(nil) })
}

// arrive takes a peer that has connected, or turns it away.
func (k *Link) arrive(e *end) {
	accepted, err := e.listener.Accept()
	if errors.Is(err, endpoint.ErrNoPeer) {
		return
	}
	e.accepting = false
	defer k.settle()
	if err != nil {
		k.report(Event{Kind: AcceptFailed, Side: e.side, Err: err})
		return
	}
	if e.peer != nil && hungUp(e.peer.FD) {
		k.depart(e) // its EPOLLHUP is still to come
	}
	if e.peer != nil {
		unix.Close(accepted.FD) //nolint:errcheck // nothing was read from it
		e.count.Rejected.Add(1)
		k.report(Event{Kind: Rejected, Side: e.side, Peer: accepted.Credentials})
		return
	}
	p := &peer{Peer: accepted}
	p.watch, err = k.loop.watch(p.FD, 0, k, func(events uint32) { k.ready(e, p, events) })
	if err != nil {
		unix.Close(p.FD) //nolint:errcheck // nothing was read from it
		k.report(Event{Kind: AcceptFailed, Side: e.side, Err: fmt.Errorf("%s: %w", e.listener.Address(), err)})
		return
	}
	e.peer = p
	e.count.Connections.Add(1)
	k.report(Event{Kind: Arrived, Side: e.side, Peer: p.Credentials})
}

func hungUp(fd int) bool {
	poll := []unix.PollFd{{Fd: int32(fd)}}
	n, err := unix.Poll(poll, 0)
	return err == nil && n > 0 && poll[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
}

// ready moves the bytes of a peer whose socket became readable or writable, or sees it off.
func (k *Link) ready(e *end, p *peer, events uint32) {
	if e.peer != p {
		return
	}
	if events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		k.depart(e)
		k.settle()
		return
	}
	if events&unix.EPOLLOUT != 0 {
		k.pump(k.lanes[e.side.Other()])
	}
	if events&unix.EPOLLIN != 0 && e.peer == p {
		k.pump(k.lanes[e.side])
	}
	k.settle()
}

func (k *Link) pump(lane *lane) {
	if err := lane.pump(); errors.Is(err, errReceiver) {
		k.depart(lane.to)
	}
}

// depart takes the peer off its end. What it said before is delivered still; what was on its way to it is dropped.
func (k *Link) depart(e *end) {
	p := e.peer
	e.peer = nil
	k.loop.unwatch(p.watch)
	unix.Shutdown(p.FD, unix.SHUT_RDWR) //nolint:errcheck // it may have done so itself
	k.lanes[e.side.Other()].strand()
	outgoing := k.lanes[e.side]
	outgoing.left = append(outgoing.left, p)
	k.report(Event{Kind: Left, Side: e.side, Peer: p.Credentials})
	k.pump(outgoing)
}

// settle waits for exactly what can go on, and closes a link that has delivered all it had to.
func (k *Link) settle() {
	if k.over {
		return
	}
	for side, e := range k.ends {
		incoming, outgoing := k.lanes[side], k.lanes[1-side]
		if e.listener != nil {
			k.loop.interest(e.accept, when(e.accepting && len(incoming.left) < maxLeft, unix.EPOLLIN))
		}
		if e.peer != nil {
			k.loop.interest(e.peer.watch, when(incoming.wantsInput(), unix.EPOLLIN)|when(outgoing.held > 0, unix.EPOLLOUT))
		}
	}
	if k.ending && k.lanes[A].finished() && k.lanes[B].finished() {
		k.finish(nil)
	}
}

func when(wanted bool, event uint32) uint32 {
	if wanted {
		return event
	}
	return 0
}

func (k *Link) stopListening(e *end) {
	if e.listener == nil {
		return
	}
	k.loop.unwatch(e.accept)
	if err := e.listener.Close(); err != nil && !errors.Is(err, os.ErrNotExist) {
		k.report(Event{Kind: CloseFailed, Side: e.side, Err: err})
	}
	e.listener, e.accept = nil, nil
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
		if p := e.peer; p != nil {
			e.peer = nil
			k.loop.unwatch(p.watch)
			unix.Shutdown(p.FD, unix.SHUT_RDWR) //nolint:errcheck // it may have gone
			unix.Close(p.FD)                    //nolint:errcheck // what could be delivered is
			k.report(Event{Kind: Left, Side: e.side, Peer: p.Credentials})
		}
	}
	for _, lane := range k.lanes {
		lane.close()
	}
	k.report(Event{Kind: Over, Err: err})
}
