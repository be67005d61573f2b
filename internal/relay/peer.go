package relay

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"serialhub/internal/endpoint"
)

const (
	// maxLeft is how many peers may have left an end with bytes that nobody has read yet, before the next one has to
	// wait in the backlog.
	maxLeft = 8
	// maxQueue is how many peers may wait for an end; one more is turned away.
	maxQueue = 16
)

// peer is a connected program. The link owns its descriptor.
type peer struct {
	endpoint.Peer
	id      uint64
	watch   *watch
	silent  bool // it has shut down its sending side, and may still be listening
	closing bool // it is closed once it has got what was sent to it; it is not read any more
}

// hungUp tells whether the peer has closed its socket.
func (p *peer) hungUp() bool {
	poll := []unix.PollFd{{Fd: int32(p.FD)}}
	n, err := unix.Poll(poll, 0)
	return err == nil && n > 0 && poll[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
}

// socketError takes the error that is pending on the socket.
func (p *peer) socketError() error {
	n, err := unix.GetsockoptInt(p.FD, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	if n != 0 {
		return unix.Errno(n)
	}
	return nil
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
	k.peers++
	p := &peer{Peer: accepted, id: k.peers}
	rules := &k.rules.Ends[e.side]
	if !rules.allows(p.Credentials.UID) {
		k.reject(e, p, ErrUID)
		return
	}
	if e.peer != nil && e.peer.hungUp() {
		k.depart(e, e.peer.socketError()) // its EPOLLHUP is still to come
	}
	if p.watch, err = k.loop.watch(p.FD, 0, k, func(events uint32) { k.ready(e, p, events) }); err != nil {
		unix.Close(p.FD) //nolint:errcheck // nothing was read from it
		k.report(Event{Kind: AcceptFailed, Side: e.side, Err: fmt.Errorf("a peer could not be taken in: %w", err)})
		return
	}
	switch {
	case e.peer == nil:
		k.attach(e, p)
	case rules.Busy == Replace:
		k.detach(e, ErrReplaced)
		k.attach(e, p)
	case rules.Busy == Queue && len(e.queue) < maxQueue:
		e.queue = append(e.queue, p)
		k.report(Event{Kind: Queued, Side: e.side, ID: p.id, Peer: p.Credentials})
	default:
		k.loop.unwatch(p.watch)
		k.reject(e, p, ErrBusy)
	}
}

// reject closes a peer that may not have the end.
func (k *Link) reject(e *end, p *peer, why error) {
	unix.Close(p.FD) //nolint:errcheck // nothing was read from it
	e.count.Rejected.Add(1)
	k.report(Event{Kind: Rejected, Side: e.side, ID: p.id, Peer: p.Credentials, Err: why})
}

// attach gives a free end to a peer.
func (k *Link) attach(e *end, p *peer) {
	e.peer = p
	k.lanes[e.side.Other()].full = false
	e.count.Connections.Add(1)
	k.report(Event{Kind: Arrived, Side: e.side, ID: p.id, Peer: p.Credentials})
}

// forget drops a peer that has left while it waited.
func (k *Link) forget(e *end, p *peer) {
	for i, waiting := range e.queue {
		if waiting == p {
			e.queue = append(e.queue[:i:i], e.queue[i+1:]...)
			k.loop.unwatch(p.watch)
			unix.Close(p.FD) //nolint:errcheck // nothing was read from it
			k.report(Event{Kind: Dequeued, Side: e.side, ID: p.id, Peer: p.Credentials})
			return
		}
	}
}

// ready moves the bytes of a peer whose socket became readable or writable, or sees it off.
func (k *Link) ready(e *end, p *peer, events uint32) {
	hungUp := events&(unix.EPOLLHUP|unix.EPOLLERR) != 0
	switch {
	case e.peer != p && hungUp:
		k.forget(e, p)
	case hungUp:
		k.depart(e, p.socketError())
	default:
		if events&unix.EPOLLOUT != 0 {
			k.pump(k.lanes[e.side.Other()])
		}
		if events&unix.EPOLLIN != 0 && e.peer == p {
			k.pump(k.lanes[e.side])
		}
	}
	k.settle()
}

func (k *Link) pump(lane *lane) {
	if err := lane.pump(); errors.Is(err, errReceiver) {
		k.depart(lane.to, lane.to.peer.socketError())
	}
}

// depart sees off a peer that has left by itself, with err if it was not a clean close. That may end the link.
func (k *Link) depart(e *end, err error) {
	ends := k.rules.EndAfter.endedBy(err)
	k.detach(e, err)
	if ends && !k.ending {
		k.outcome = ErrLost
		k.drain()
	}
}

// detach takes the peer off its end. What it said before is delivered still; what was on its way to it is stranded.
// why is nil for a clean close.
func (k *Link) detach(e *end, why error) {
	p := e.peer
	e.peer = nil
	k.loop.unwatch(p.watch)
	unix.Shutdown(p.FD, unix.SHUT_RDWR) //nolint:errcheck // it may have done so itself
	k.lanes[e.side.Other()].strand()
	outgoing := k.lanes[e.side]
	outgoing.left = append(outgoing.left, p)
	k.report(Event{Kind: Left, Side: e.side, ID: p.id, Peer: p.Credentials, Err: why})
	k.pump(outgoing)
	if other := k.ends[e.side.Other()].peer; other != nil && k.rules.CloseBoth {
		other.closing = true
	}
}
