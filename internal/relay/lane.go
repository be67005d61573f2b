package relay

import (
	"errors"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// chunk is what one splice may move: the capacity of a pipe as the kernel makes it.
	chunk = 64 << 10
	// rounds bounds how often a lane is filled and emptied before other descriptors have their turn.
	rounds = 16
	// noQuota lets a lane read as long as its peer sends.
	noQuota = math.MaxInt
)

// lane carries bytes in one direction: from the peers of one end, through a pipe, to the peer of the other end.
// What is on its way between two peers never leaves the kernel: each byte is in a socket or in the pipe, so none is in
// this program's hands alone. Only what is buffered for a peer that is not there yet is.
type lane struct {
	from, to *end
	r, w     int     // the pipe, non-blocking
	held     int     // bytes in the pipe
	full     bool    // the pipe takes no more, and there is nobody to empty it
	left     []*peer // peers that have gone, with bytes that are still unread, oldest first
	quota    int     // how many more bytes may be read from the peer that is there
	absent   Absent
	buffer   ring   // what was sent while absent was Buffer and nobody was there; older than what is unread
	scratch  []byte // the loop's
}

func newLane(from, to *end, scratch []byte) (*lane, error) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	return &lane{from: from, to: to, r: pipe[0], w: pipe[1], quota: noQuota, scratch: scratch}, nil
}

// pump moves what can be moved without waiting, up to a fair share; what is left of peers that have gone is always
// moved as far as there is room for it, because nothing would report it again. It returns errReceiver if the
// receiver turns out to be gone; everything else that can end a peer is reported by epoll as well.
func (l *lane) pump() error {
	for round := 0; round < rounds || len(l.left) > 0; round++ {
		if err := l.empty(); err != nil || l.stalled() {
			return err
		}
		n := l.fill()
		if n == 0 {
			return nil
		}
		if n < chunk/2 && len(l.left) == 0 {
			break // most likely all there was, and if not, epoll says so
		}
	}
	return l.empty()
}

// errReceiver says that the receiver's socket takes no more bytes, ever.
var errReceiver = errors.New("the receiver is gone")

// stalled tells whether there is a receiver, and it has to take what the pipe holds before more is read.
func (l *lane) stalled() bool { return l.to.peer != nil && l.held > 0 }

// pending tells whether there is something for the receiver that comes before what is read next.
func (l *lane) pending() bool { return l.stalled() || l.to.peer != nil && l.buffer.len > 0 }

// empty moves the pipe's bytes to the receiver, if there is one, until the pipe is empty or the receiver is full.
func (l *lane) empty() error {
	for l.stalled() {
		n, err := unix.Splice(l.r, nil, l.to.peer.FD, nil, l.held, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
		switch {
		case err == nil:
			l.held -= int(n)
			l.full = false
			l.to.count.Sent.Add(uint64(n))
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return nil
		default:
			return errReceiver
		}
	}
	return nil
}

// fill reads from the sender once, and returns how many bytes; 0 if there are none now, or no room for them.
// Senders that have gone and are used up are closed on the way.
func (l *lane) fill() int {
	if l.buffer.len > 0 && l.to.peer != nil {
		return l.replay()
	}
	for {
		source, limit := l.source()
		if source == nil || limit == 0 {
			return 0
		}
		n, err := l.take(source.FD, min(limit, chunk))
		switch {
		case errors.Is(err, unix.EINTR):
		case n > 0:
			l.from.count.Received.Add(uint64(n))
			if source == l.from.peer && l.quota != noQuota {
				l.quota -= n
			}
			return n
		case errors.Is(err, unix.EAGAIN):
			return 0
		case len(l.left) > 0: // the end of what it said, or an error, after which there is no more
			unix.Close(source.FD) // it has been shut down and read to its end
			l.left = l.left[1:]
		default: // it will say no more, but it may be there to listen still: shutdown(SHUT_WR), or EPOLLHUP is to come
			source.silent = true
			return 0
		}
	}
}

// source is the socket to read next, and how much of it; nil if there is none.
func (l *lane) source() (*peer, int) {
	if len(l.left) > 0 {
		return l.left[0], noQuota
	}
	if p := l.from.peer; p != nil && !p.silent && !p.closing {
		return p, l.quota
	}
	return nil, 0
}

// take reads up to limit bytes from fd: into the pipe if there is a receiver, else to where the rules want them.
func (l *lane) take(fd, limit int) (int, error) {
	switch {
	case l.to.peer != nil:
		return l.splice(fd, limit)
	case l.absent == Hold && l.buffer.len > 0:
		l.full = true // what is in the buffer comes first; it was filled before the rules changed
		return 0, unix.EAGAIN
	case l.absent == Hold:
		n, err := l.splice(fd, limit)
		if errors.Is(err, unix.EAGAIN) && l.held > 0 && waiting(fd) > 0 {
			l.full = true
		}
		return n, err
	case l.absent == Buffer:
		n, err := unix.Read(fd, l.scratch[:min(limit, len(l.scratch))])
		if n > 0 {
			l.keep(l.scratch[:n])
		}
		return n, err
	default:
		n, err := unix.Read(fd, l.scratch[:min(limit, len(l.scratch))])
		l.discarded(n)
		return n, err
	}
}

func (l *lane) splice(fd, limit int) (int, error) {
	n, err := unix.Splice(fd, nil, l.w, nil, limit, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
	if n > 0 {
		l.held += int(n)
	}
	return int(n), err
}

// keep puts data into the buffer, which drops what it has no room for.
func (l *lane) keep(data []byte) {
	l.discarded(l.buffer.add(data))
}

// replay moves bytes from the buffer into the pipe, which is empty, and returns how many.
func (l *lane) replay() int {
	data := l.buffer.oldest()
	n, err := unix.Write(l.w, data[:min(len(data), chunk)])
	if err != nil && !errors.Is(err, unix.EINTR) {
		panic(os.NewSyscallError("write to an empty pipe", err))
	}
	n = max(n, 0)
	l.held += n
	l.buffer.remove(n)
	return n
}

// takeBack moves the pipe's bytes, which a receiver has not taken, to the front of the buffer.
func (l *lane) takeBack() {
	newer := append([]byte(nil), l.buffer.oldest()...)
	l.buffer.remove(len(newer))
	newer = append(newer, l.buffer.oldest()...)
	l.buffer.remove(l.buffer.len)
	for l.held > 0 {
		n, err := unix.Read(l.r, l.scratch)
		if err != nil && !errors.Is(err, unix.EINTR) {
			panic(os.NewSyscallError("read of a pipe that holds bytes", err))
		}
		l.held -= max(n, 0)
		l.keep(l.scratch[:max(n, 0)])
	}
	l.keep(newer)
}

// drop drops the n oldest bytes of the pipe.
func (l *lane) drop(n int) {
	var page [4096]byte
	for n > 0 {
		got, err := unix.Read(l.r, page[:min(n, len(page))])
		if err != nil && !errors.Is(err, unix.EINTR) {
			panic(os.NewSyscallError("read of a pipe that holds bytes", err))
		}
		got = max(got, 0)
		n -= got
		l.held -= got
		l.discarded(got)
	}
	l.full = false
}

func (l *lane) discarded(n int) {
	if n > 0 {
		l.from.count.Discarded.Add(uint64(n))
	}
}

// waiting is how many bytes a socket has for the one who reads it.
func waiting(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
	if err != nil {
		return 0
	}
	return n
}

// strand deals with what was said to a receiver that has gone: what the pipe holds and, if the receiver had not kept
// up or has a successor already, what waits behind it. Under Discard the next receiver must not get any of it. The
// caller has taken the receiver off the end.
func (l *lane) strand(succeeded bool) {
	behind := succeeded || l.held > 0
	switch l.absent {
	case Hold:
		return
	case Buffer:
		l.takeBack()
	case Discard:
		l.discarded(l.buffer.len)
		l.buffer.remove(l.buffer.len)
		l.drop(l.held)
	}
	for len(l.left) > 0 && l.fill() > 0 {
	}
	if p := l.from.peer; p != nil && behind && l.absent == Discard {
		for stale := waiting(p.FD); stale > 0; {
			n := l.fill()
			if n == 0 {
				return
			}
			stale -= n
		}
	}
}

// wantsInput tells whether a byte from the peer that is there could go anywhere.
func (l *lane) wantsInput() bool {
	source, limit := l.source()
	return !l.pending() && !l.full && len(l.left) == 0 && source != nil && limit > 0
}

// finish lets the lane read only what has been sent up to now.
func (l *lane) finish() {
	l.quota = 0
	if p := l.from.peer; p != nil {
		l.quota = waiting(p.FD)
	}
}

// delivered tells whether the receiver, if there is one, has got everything that the lane may read.
func (l *lane) delivered() bool {
	return l.to.peer == nil || !l.pending() && len(l.left) == 0 && !l.wantsInput()
}

// setAbsent changes what happens to bytes for nobody, and the size of the buffer for them.
func (l *lane) setAbsent(absent Absent, size int) {
	if old := l.buffer; old.limit != size {
		l.buffer = ring{limit: size}
		for old.len > 0 {
			oldest := old.oldest()
			l.keep(oldest)
			old.remove(len(oldest))
		}
	}
	l.absent, l.full = absent, false
	if l.to.peer == nil {
		l.strand(false)
	}
}

func (l *lane) close() {
	for _, p := range l.left {
		unix.Close(p.FD) // it is gone, and so is the link
	}
	l.left = nil
	l.discarded(l.held + l.buffer.len)
	l.held, l.buffer = 0, ring{}
	unix.Close(l.r) // a pipe
	unix.Close(l.w) // a pipe
}
