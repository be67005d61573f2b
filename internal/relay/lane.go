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
// The bytes never leave the kernel: each of them is in a socket or in the pipe, so none is in this program's hands
// alone. With nobody at the other end they are read and dropped.
type lane struct {
	from, to *end
	r, w     int     // the pipe, non-blocking
	held     int     // bytes in the pipe; more than 0 between two pumps only while the receiver is full
	left     []*peer // peers that have gone, with bytes that are still unread, oldest first
	quota    int     // how many more bytes may be read from the peer that is there
	scratch  []byte  // the loop's
}

func newLane(from, to *end, scratch []byte) (*lane, error) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	return &lane{from: from, to: to, r: pipe[0], w: pipe[1], quota: noQuota, scratch: scratch}, nil
}

// pump moves what can be moved without waiting, up to a fair share; what is left of peers that have gone is always
// moved as far as the receiver takes it, because nothing would report it again. It returns errReceiver if the
// receiver turns out to be gone; everything else that can end a peer is reported by epoll as well.
func (l *lane) pump() error {
	for round := 0; round < rounds || len(l.left) > 0; round++ {
		if err := l.empty(); err != nil || l.held > 0 {
			return err
		}
		n := l.fill()
		if n == 0 {
			return nil
		}
		if n < chunk/2 && len(l.left) == 0 {
			return l.empty() // most likely all there was, and if not, epoll says so
		}
	}
	return l.empty()
}

// errReceiver says that the receiver's socket takes no more bytes, ever.
var errReceiver = errors.New("the receiver is gone")

// empty moves the pipe's bytes to the receiver until the pipe is empty or the receiver is full.
func (l *lane) empty() error {
	for l.held > 0 {
		n, err := unix.Splice(l.r, nil, l.to.peer.FD, nil, l.held, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
		switch {
		case err == nil:
			l.held -= int(n)
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

// fill moves bytes from the sender into the pipe, which is empty, and returns how many; 0 if there are none now.
// With nobody to receive them it drops them instead. Senders that have gone and are used up are closed on the way.
func (l *lane) fill() int {
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
			unix.Close(source.FD) //nolint:errcheck // it has been shut down and read to its end
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
	if p := l.from.peer; p != nil && !p.silent {
		return p, l.quota
	}
	return nil, 0
}

// take moves up to limit bytes from fd into the pipe, or to nowhere if there is no receiver.
func (l *lane) take(fd, limit int) (int, error) {
	if l.to.peer == nil {
		n, err := unix.Read(fd, l.scratch[:min(limit, len(l.scratch))])
		if n > 0 {
			l.from.count.Discarded.Add(uint64(n))
		}
		return n, err
	}
	n, err := unix.Splice(fd, nil, l.w, nil, limit, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
	if n > 0 {
		l.held += int(n)
	}
	return int(n), err
}

// strand drops what was said to a receiver that has gone: the pipe's bytes and, if the receiver had not kept up,
// what waits behind them. The next receiver must not get any of it. The caller has taken the receiver off the end.
func (l *lane) strand() {
	stalled := l.held > 0
	for l.held > 0 {
		n, err := unix.Read(l.r, l.scratch)
		if err != nil {
			panic(os.NewSyscallError("read of a pipe that holds bytes", err))
		}
		l.held -= n
		l.from.count.Discarded.Add(uint64(n))
	}
	for len(l.left) > 0 && l.fill() > 0 {
	}
	if p := l.from.peer; stalled && p != nil {
		waiting, err := unix.IoctlGetInt(p.FD, unix.SIOCINQ)
		for err == nil && waiting > 0 {
			n := l.fill()
			if n == 0 {
				break
			}
			waiting -= n
		}
	}
}

// wantsInput tells whether a byte from the peer that is there could go anywhere.
func (l *lane) wantsInput() bool {
	source, limit := l.source()
	return l.held == 0 && len(l.left) == 0 && source != nil && limit > 0
}

// finish lets the lane read only what has been sent up to now.
func (l *lane) finish() {
	l.quota = 0
	if p := l.from.peer; p != nil {
		if waiting, err := unix.IoctlGetInt(p.FD, unix.SIOCINQ); err == nil {
			l.quota = waiting
		}
	}
}

// finished tells whether everything that finish has let through is delivered.
func (l *lane) finished() bool {
	return l.held == 0 && !l.wantsInput() && len(l.left) == 0
}

func (l *lane) close() {
	for _, p := range l.left {
		unix.Close(p.FD) //nolint:errcheck // it is gone, and so is the link
	}
	l.left = nil
	unix.Close(l.r) //nolint:errcheck // a pipe
	unix.Close(l.w) //nolint:errcheck // a pipe
}
