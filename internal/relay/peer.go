package relay

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"serialhub/internal/endpoint"
)

const (
	// maxLeft is how many peers may have left an end with bytes that nobody has read yet, before the next one has to
	// wait in the backlog.
	maxLeft = 8
	// maxUnseen is how many arrivals at an end may be reported and not seen yet, before the next one has to wait in the
	// backlog. So a storm of connections does not fill the memory of whoever follows the events.
	maxUnseen = 1024
	// maxQueue is how many peers may wait for an end; one more is turned away.
	maxQueue = 16
)

// peer is a connected program. The link owns its descriptor.
type peer struct {
	endpoint.Peer
	id      uint64
	watch   *watch
	rest    int  // how much of what it has said is still to be read, once it has left
	guest   bool // it has not come to the end's address; when it leaves, that is no loss
	silent  bool // it has shut down its sending side, and may still be listening
	copied  bool // its descriptor cannot be spliced
	closing bool // it is closed once it has got what was sent to it; it is not read any more
}

// saidAll tells whether all that a peer has said that has left has been read, although its descriptor does not say that it has come to an end: somebody
// has opened the terminal again, or it is the hub that has let go of a serial port.
func (p *peer) saidAll() bool { return p.isTTY() && !p.Readable() }

// somebodyWaits tells whether a peer has connected that is not taken in yet.
func (e *end) somebodyWaits() bool {
	return e.entering || e.listener != nil && e.listener.Waiting()
}

// errShut says that a listener is of no use any more.
var errShut = errors.New("the socket has been shut down by another program that has it, such as the service manager; restart that one's socket unit")

// arrive takes in everybody who has connected, so that bytes which are read after this go to the last of them, and not
// to one who has left in the meantime. While nobody may come in, they stay in the backlog.
func (k *Link) arrive(e *end) {
	for k.arriveOne(e) {
	}
	k.settle()
}

// knock takes in who has come. A listener that hangs up has been shut down by somebody else who has it: it will never have a peer
// again, nor be quiet.
func (k *Link) knock(e *end, events uint32) {
	if events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		k.loop.unwatch(e.accept)
		e.paused = true
		k.hooks.Report(Event{Kind: AcceptFailed, Side: e.side, Err: errShut})
		return
	}
	k.arrive(e)
}

// arriveOne takes a peer that has connected, or turns it away. It returns false if there is none to take.
func (k *Link) arriveOne(e *end) bool {
	k.noticeHangup(e)
	if e.listener == nil || !k.admits(e) { // nobody comes by himself to an end that fetches its peer
		return false
	}
	accepted, err := e.listener.Accept()
	var refused *endpoint.RefusedError
	switch {
	case errors.Is(err, endpoint.ErrNoPeer):
		return false
	case errors.As(err, &refused):
		k.turnedAway(e, refused.Peer, 0, refused)
		return true
	case err != nil:
		e.paused = true
		k.hooks.Report(Event{Kind: AcceptFailed, Side: e.side, Err: err})
		return false
	}
	k.admit(e, accepted)
	k.keep() // a SIGKILL between accept(2) and here costs the newcomer its connection
	return true
}

// admit gives the end to a peer that was accepted, has it wait for the end, or turns it away.
func (k *Link) admit(e *end, accepted endpoint.Peer) {
	k.peers++
	p := &peer{Peer: accepted, id: k.peers}
	rules := &k.rules.Ends[e.side]
	if !rules.allows(p.Credentials.UID) {
		k.reject(e, p, ErrUID)
		return
	}
	e.entering = true
	k.noticeHangup(e) // whoever connects after the other has left may not be turned away for it
	e.entering = false
	if e.peer != nil && rules.Busy != Replace && (rules.Busy != Queue || len(e.queue) >= maxQueue) {
		k.reject(e, p, ErrBusy)
		return
	}
	var err error
	if p.watch, err = k.loop.watch(p.FD, p.Departure(), k, func(events uint32) { k.ready(e, p, events) }); err != nil {
		p.Close()
		e.paused = true
		k.hooks.Report(Event{Kind: AcceptFailed, Side: e.side, Err: fmt.Errorf("a peer could not be taken in: %w", err)})
		return
	}
	if e.peer != nil && rules.Busy == Replace {
		k.detach(e, ErrReplaced)
	}
	if e.peer == nil && len(e.queue) == 0 && k.free(e) {
		k.attach(e, p)
		return
	}
	k.enqueue(e, p, rules.Busy == Replace)
	k.keep() // first, as in attach
	k.tell(Event{Kind: Queued, Side: e.side, ID: p.id, Peer: p.Credentials})
}

// noticeHangup sees off the peer of an end if it has left, and its EPOLLHUP is still to come.
func (k *Link) noticeHangup(e *end) {
	if e.peer != nil && e.peer.Gone() {
		k.depart(e, e.peer.Err())
	}
}

// enqueue has a peer wait for the end; settle lets it in. The newest comes first where it replaces the others. The caller reports Queued.
func (k *Link) enqueue(e *end, p *peer, first bool) {
	if first {
		e.queue = append([]*peer{p}, e.queue...)
	} else {
		e.queue = append(e.queue, p)
	}
	k.changed = true
}

// reject closes a peer that may not have the end.
func (k *Link) reject(e *end, p *peer, why error) {
	p.Close()
	k.turnedAway(e, p.Credentials, p.id, why)
}

// turnedAway takes note of somebody who may not come in.
func (k *Link) turnedAway(e *end, who endpoint.Credentials, id uint64, why error) {
	e.count.Rejected.Add(1)
	k.tell(Event{Kind: Rejected, Side: e.side, ID: id, Peer: who, Err: why})
}

// attach gives a free end to a peer.
func (k *Link) attach(e *end, p *peer) {
	e.peer = p
	k.changed = true
	k.lanes[e.side.Other()].full = false
	e.count.Connections.Add(1)
	k.keep() // first: who is told of it may count on it
	k.tell(Event{Kind: Arrived, Side: e.side, ID: p.id, Peer: p.Credentials})
}

// tell reports an event for which somebody has to call Seen.
func (k *Link) tell(event Event) {
	k.ends[event.Side].unseen++
	k.hooks.Report(event)
}

// forget drops a peer that has left while it waited.
func (k *Link) forget(e *end, p *peer) {
	for i, waiting := range e.queue {
		if waiting == p {
			e.queue = append(e.queue[:i:i], e.queue[i+1:]...)
			k.changed = true
			k.loop.unwatch(p.watch)
			p.Close()
			k.hooks.Report(Event{Kind: Dequeued, Side: e.side, ID: p.id, Peer: p.Credentials})
			return
		}
	}
}

// ready moves the bytes of a peer whose socket became readable or writable, or sees it off.
func (k *Link) ready(e *end, p *peer, events uint32) {
	hungUp := events&p.Departure() != 0
	switch {
	case e.peer != p && hungUp:
		k.forget(e, p)
	case hungUp:
		k.depart(e, p.Err())
	default:
		if events&unix.EPOLLOUT != 0 {
			k.pump(k.lanes[e.side.Other()], 0)
		}
		if events&unix.EPOLLIN != 0 && e.peer == p {
			k.carry(k.lanes[e.side])
		}
	}
	k.settle()
}

// carry moves what a peer has sent until now, and decides whether to let the next bytes gather.
//
// To whom bytes were sent is known only if nobody has come or left since: so they are counted first, then the receiving end is
// looked at, and then no more of them are read. What epoll reported may be older than that, and not in the order of events.
func (k *Link) carry(lane *lane) {
	sender, receiver := lane.from.peer, lane.to
	there := max(sender.Unread(), 1) // nothing is the end of what it says, and has to be read too
	if receiver.peer != nil && receiver.peer.Gone() || receiver.peer == nil && k.admits(receiver) && receiver.somebodyWaits() {
		k.arrive(receiver)
		return // epoll reports again what is still there
	}
	k.pump(lane, there)
	k.lanes[receiver.side].gather.interrupt()
	if lane.gather.next(there) && lane.from.peer == sender && receiver.peer != nil {
		k.loop.rest(sender.watch)
	}
}

// goOn goes on with a lane that had to wait for a pipe.
func (k *Link) goOn(lane *lane) {
	if !k.over {
		k.pump(lane, 0)
		k.settle()
	}
}

// pump moves bytes over a lane, up to limit of those that are still to be read, and sees the receiver off if it turns out to
// be gone.
func (k *Link) pump(lane *lane, limit int) {
	if err := lane.pump(limit); errors.Is(err, errReceiver) {
		k.depart(lane.to, lane.to.peer.Err())
	}
}

// depart sees off a peer that has left by itself, with err if it was not a clean close. That may end the link.
func (k *Link) depart(e *end, err error) {
	ends := k.rules.EndAfter.endedBy(err) && !e.peer.guest && !k.ending
	k.detach(e, err)
	if ends && !k.ending {
		k.endByLoss()
	}
}

func (k *Link) endByLoss() {
	k.outcome = ErrLost
	k.drain()
	k.hooks.Report(Event{Kind: Ending})
}

// detach takes the peer off its end; why is nil for a clean close. What it said before is delivered still; what was on
// its way to it is stranded.
func (k *Link) detach(e *end, why error) {
	p := e.peer
	e.peer = nil
	e.look = p.Nature == endpoint.Terminal
	k.changed = true
	k.loop.unwatch(p.watch)
	p.HangUp()
	p.rest = noQuota
	if p.Nature == endpoint.Line {
		p.rest = p.said() // it may go on
	}
	incoming := k.lanes[e.side.Other()]
	// What is in the sender's socket now was said to this peer, or to nobody; unless it was said to a successor that has come
	// by itself. The order matters: who comes after the bytes were counted has not been sent any of them.
	stale := incoming.unread()
	succeeded := len(e.queue) > 0 || errors.Is(why, ErrReplaced) || errors.Is(why, ErrReset)
	if !succeeded && e.somebodyWaits() {
		stale = 0
	}
	incoming.strand(stale)
	outgoing := k.lanes[e.side]
	if p.Nature == endpoint.Terminal || p.Unread() > 0 { // a terminal has more than it tells
		outgoing.left = append(outgoing.left, p)
	} else {
		p.Close()
	}
	k.hooks.Report(Event{Kind: Left, Side: e.side, ID: p.id, Peer: p.Credentials, Err: why})
	k.pump(outgoing, 0)
	if other := k.ends[e.side.Other()].peer; other != nil && k.rules.CloseBoth && !p.guest {
		other.closing = true
		k.changed = true
	}
}
