package relay

import (
	"errors"
	"math"

	"golang.org/x/sys/unix"

	"serialhub/internal/endpoint"
)

// noQuota lets a lane read as long as its peer sends.
const noQuota = math.MaxInt

// lane carries bytes in one direction: from the peers of one end, through a pipe, to the peer of the other end.
// What is on its way between two peers never leaves the kernel: each byte is in a socket or in the pipe, so none is in
// this program's hands alone, but while it is copied.
type lane struct {
	link     *Link
	from, to *end
	pool     *pool
	scratch  []byte // the loop's
	pipe     *pipe  // of the pool; nil while the lane holds no bytes
	slow     bool   // the receiver has not taken at once what the pipe holds
	full     bool   // the pipe takes no more, and there is nobody to empty it
	hungry   bool   // it waits for a pipe
	gather   gather
	left     []*peer // peers that have gone, with bytes that are still unread, oldest first
	quota    int     // how many more bytes may be read from the peer that is there
	absent   Absent
	buffer   *ring // what was sent while absent was Buffer and nobody was there, older than what is unread; nil for any other rule, once it is empty
}

func newLane(link *Link, from, to *end) *lane {
	return &lane{link: link, from: from, to: to, pool: &link.loop.pool, scratch: link.loop.scratch, quota: noQuota}
}

// pump moves what can be moved without waiting: what comes before anything that is still to be read, and then up to limit bytes
// of the peer that is there. It returns errReceiver if the receiver turns out to be gone; everything else that can end a peer is
// reported by epoll as well.
func (l *lane) pump(limit int) error {
	for {
		if err := l.empty(); err != nil || l.stalled() {
			return err
		}
		first := len(l.left) > 0 || l.pending()
		if !first && limit <= 0 {
			l.settleQuota()
			return nil
		}
		n := l.fill(limit)
		if n == 0 {
			l.settleQuota()
			return nil
		}
		if !first {
			limit -= n
		}
	}
}

// settleQuota sees that there is no more to be read of what a terminal or a serial port had said: its quota was more than there was.
func (l *lane) settleQuota() {
	if p := l.from.peer; p != nil && l.quota != noQuota && l.quota > 0 && p.isTTY() && !p.Readable() {
		l.quota = 0
	}
}

// errReceiver says that the receiver's socket takes no more bytes, ever.
var errReceiver = errors.New("the receiver is gone")

// held is how many bytes are in the lane's pipe.
func (l *lane) held() int {
	if l.pipe == nil {
		return 0
	}
	return l.pipe.held
}

// stalled tells whether there is a receiver, and it has to take what the pipe holds before more is read.
func (l *lane) stalled() bool { return l.to.peer != nil && l.pipe != nil }

// pending tells whether there is something for the receiver that comes before what is read next.
func (l *lane) pending() bool { return l.stalled() || l.to.peer != nil && l.buffer.len() > 0 }

// empty moves the pipe's bytes to the receiver, if there is one, until the pipe is empty or the receiver is full.
func (l *lane) empty() error {
	for l.stalled() {
		n, err := l.pipe.moveTo(l.to.peer, l.scratch)
		l.to.count.Sent.Add(uint64(n))
		l.full = false
		if err == nil || errors.Is(err, unix.EAGAIN) {
			l.slow = err != nil
		}
		l.returnPipe()
		switch {
		case err == nil, errors.Is(err, unix.EINTR):
		case l.slow:
			return nil
		default:
			return errReceiver
		}
	}
	return nil
}

// fill reads once what comes next, up to limit bytes of the peer that is there, and returns how many bytes; 0 if there are
// none now, or no room for them. Senders that have gone and are used up are closed on the way.
func (l *lane) fill(limit int) int {
	if l.buffer.len() > 0 && l.to.peer != nil {
		return l.replay()
	}
	for {
		source, quota := l.source()
		if source == l.from.peer {
			quota = min(quota, limit)
		}
		if source == nil || quota == 0 && len(l.left) == 0 {
			return 0
		}
		if quota == 0 {
			l.closeLeft()
			continue
		}
		n, err := l.take(source, quota)
		switch {
		case n > 0:
			l.from.count.Received.Add(uint64(n))
			l.took(source, n)
			return n
		case errors.Is(err, unix.EAGAIN) && (len(l.left) == 0 || !source.saidAll()):
			return 0
		case len(l.left) > 0: // the end of what it said, or an error, after which there is no more
			l.closeLeft()
		default: // it will say no more, but it may be there to listen still: shutdown(SHUT_WR), or EPOLLHUP is to come
			source.silent = source.Nature != endpoint.Terminal // which somebody else may open before its EPOLLHUP comes
			return 0
		}
	}
}

// took takes note of bytes that were read from a peer.
func (l *lane) took(from *peer, n int) {
	if from != l.from.peer {
		if from.rest != noQuota {
			from.rest = max(from.rest-n, 0)
		}
		return
	}
	if l.quota != noQuota {
		l.quota -= n
	}
}

// closeLeft closes the oldest of the peers that have gone.
func (l *lane) closeLeft() {
	l.left[0].Close()
	l.left = l.left[1:]
	l.link.changed = true
}

// source is the peer to read next, and how much of it; nil if there is none.
func (l *lane) source() (*peer, int) {
	if len(l.left) > 0 {
		return l.left[0], l.left[0].rest
	}
	if p := l.from.peer; p != nil && !p.silent && !p.closing {
		return p, l.quota
	}
	return nil, 0
}

// take reads up to limit bytes from a peer: into the pipe if there is a receiver, else to where the rules want them.
func (l *lane) take(from *peer, limit int) (int, error) {
	switch {
	case l.to.peer != nil:
		return l.takeIn(from, limit)
	case l.absent == Hold && l.buffer.len() > 0:
		l.full = true // what is in the buffer comes first; it was filled before the rules changed
		return 0, unix.EAGAIN
	case l.absent == Hold:
		n, err := l.takeIn(from, limit)
		if errors.Is(err, unix.EAGAIN) && l.held() > 0 && from.Unread() > 0 {
			l.full = true
		}
		return n, err
	default:
		n, err := read(from.FD, l.scratch[:min(limit, len(l.scratch))])
		l.showCopy(l.scratch[:n])
		if l.absent == Buffer {
			l.keep(l.scratch[:n])
		} else {
			l.discarded(n)
		}
		return n, err
	}
}

// takeIn moves bytes from a peer into the pipe.
func (l *lane) takeIn(from *peer, limit int) (int, error) {
	if !l.hasPipe() {
		return 0, unix.EAGAIN
	}
	defer l.returnPipe()
	l.announce()
	n, err := l.pipe.moveFrom(from, limit, l.scratch)
	l.show(n)
	return n, err
}

// hasPipe gives the lane a pipe, unless it has one. Without one to be had, the lane waits for it and hasPipe returns false.
func (l *lane) hasPipe() bool {
	if l.pipe == nil {
		l.pipe = l.pool.borrow()
	}
	if l.pipe == nil {
		l.pool.wait(l)
		return false
	}
	if l.pipe.owner != nil && l.pipe.owner.Load() != l.id() {
		l.pipe.owner.Store(l.id()) // before there is a byte in it
	}
	return true
}

// id tells the lane from all others, also of processes before this one.
func (l *lane) id() uint64 { return l.link.id<<1 | uint64(l.from.side) }

// returnPipe gives the pipe back if it is empty.
func (l *lane) returnPipe() {
	if l.pipe != nil && l.pipe.held == 0 {
		l.pool.giveBack(l.pipe)
		l.pipe = nil
	}
}

// ttyRoom is how much the kernel keeps of what comes from a terminal or a serial port, behind the 4095 bytes that it shows.
const ttyRoom = 640 << 10

// said is how many bytes the peer has sent that are not read yet, or more than that if the kernel does not show all.
func (p *peer) said() int {
	n := p.Unread()
	if n > 0 && p.isTTY() {
		return max(n, ttyRoom)
	}
	return n
}

// isTTY tells whether the peer is at a terminal or a serial port.
func (p *peer) isTTY() bool { return p.Nature == endpoint.Terminal || p.Nature == endpoint.Line }

// unread is how many bytes the peer that is there has said, and the lane may read.
func (l *lane) unread() int {
	if p := l.from.peer; p != nil {
		return min(p.said(), l.quota)
	}
	return 0
}

// wantsInput tells whether a byte from the peer that is there could go anywhere.
func (l *lane) wantsInput() bool {
	source, limit := l.source()
	return !l.pending() && !l.full && !l.hungry && len(l.left) == 0 && source != nil && limit > 0
}

// finish lets the lane read only what has been sent up to now.
func (l *lane) finish() {
	l.quota = 0
	if p := l.from.peer; p != nil {
		l.quota = p.said()
	}
}

// delivered tells whether the receiver, if there is one, has got everything that the lane may read.
func (l *lane) delivered() bool {
	return l.to.peer == nil || l.passedOn() && !l.onTheLine()
}

// passedOn tells whether everything that the lane may read has been written to the receiver.
func (l *lane) passedOn() bool {
	return !l.hungry && !l.pending() && len(l.left) == 0 && !l.wantsInput()
}

// onTheLine tells whether what was written to the receiver would be lost if it were closed now: a serial port has not sent it yet, it was not read at a
// terminal, or a TCP peer has not acknowledged it. (If that one says something meanwhile, close(2) resets the connection.)
func (l *lane) onTheLine() bool {
	p := l.to.peer
	return p != nil && p.Nature != endpoint.Local && p.Untaken() > 0
}

// copies tells whether the bytes of the peers that are there go through user space.
func (l *lane) copies() bool {
	copied := func(p *peer) bool { return p != nil && (p.copied || p.Bridged()) }
	return copied(l.from.peer) || copied(l.to.peer)
}

func (l *lane) close() {
	for _, p := range l.left {
		p.Close()
	}
	l.left = nil
	l.discarded(l.held() + l.buffer.len())
	l.buffer.close()
	l.buffer = nil
	if l.pipe != nil {
		l.pool.giveBack(l.pipe)
		l.pipe = nil
	}
}
