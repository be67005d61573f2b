package relay

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Watcher sees what comes from the peers of a link. Its methods are called on the loop's goroutine, and must not wait.
type Watcher interface {
	Saw(side Side, data []byte, missed int) // data, after some bytes that were missed; it is valid during the call only
	Kept() int                              // the descriptor of what it keeps, which is to outlive the process

	// Takes tells that bytes of a side are about to be taken into a pipe that holds so many; Saw follows, or Takes with -1 if none came. The
	// process may be killed before that: Unseen is how many of the newest bytes of a pipe that was left were not shown.
	Takes(side Side, held int)
	Unseen(side Side, held int) int
}

// Watch has w see what comes from the link's peers from now on, in the place of another; nil for nobody.
// Once it returns, the one before sees nothing any more.
func (k *Link) Watch(w Watcher) {
	done := false
	k.loop.call(k, func() {
		done = true
		k.watcher = w
		k.changed = true
		k.keep()
	})
	if !done {
		<-k.loop.Done()
	}
}

// spy is a pipe by which bytes that are in a lane's pipe are looked at, and stay there (tee(2)). It is empty between two calls.
type spy struct{ r, w int }

func newSpy() (*spy, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, slots*os.Getpagesize()) //nolint:errcheck // a smaller one shows less at once
	return &spy{r: fds[0], w: fds[1]}, nil
}

func (s *spy) close() {
	if s != nil {
		unix.Close(s.r) // a pipe
		unix.Close(s.w) // a pipe
	}
}

// look copies what a pipe holds, as far as there is room, and returns how many bytes.
func (s *spy) look(p *pipe, buf []byte) (n int) {
	held := tee(p.r, s.w, min(p.held, len(buf)))
	for n < held {
		n += readHeld(s.r, buf[n:held])
	}
	return n
}

// tee is tee(2) between pipes without blocking; it returns 0 if it cannot be done now. As for splice, the scheduler is not told of it.
func tee(from, to, n int) int {
	for {
		copied, _, errno := unix.RawSyscall6(unix.SYS_TEE, uintptr(from), uintptr(to), uintptr(n), unix.SPLICE_F_NONBLOCK, 0, 0)
		switch errno {
		case 0:
			return int(copied)
		case unix.EINTR:
		default:
			return 0
		}
	}
}

// readHeld is read(2) of a pipe that holds bytes, so that it does not wait. As for splice, the scheduler is not told of it.
func readHeld(fd int, buf []byte) int {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)))
	switch errno {
	case 0:
		return int(n)
	case unix.EINTR:
		return 0
	default:
		panic(os.NewSyscallError("read of a pipe that holds bytes", errno))
	}
}

// announce tells the watcher that bytes are about to come into the lane's pipe; show follows.
func (l *lane) announce() {
	if w := l.link.watcher; w != nil {
		w.Takes(l.from.side, l.held())
	}
}

// show shows the watcher the newest n bytes in the lane's pipe.
func (l *lane) show(n int) {
	w := l.link.watcher
	if w == nil {
		return
	}
	if n == 0 {
		w.Takes(l.from.side, -1)
		return
	}
	loop := l.link.loop
	if loop.spy == nil {
		loop.spy, _ = newSpy() // without one, they are missed
	}
	seen, older := 0, l.held()-n
	if loop.spy != nil {
		seen = max(0, loop.spy.look(l.pipe, l.scratch)-older)
	}
	if seen > 0 {
		w.Saw(l.from.side, l.scratch[older:older+seen], 0)
	}
	if seen < n {
		loop.spy.close() // it may be too small, because there were too many pipes when it was made
		loop.spy = nil
		w.Saw(l.from.side, nil, n-seen)
	}
}

// showCopy shows the watcher bytes that do not go into the pipe.
func (l *lane) showCopy(data []byte) {
	if w := l.link.watcher; w != nil && len(data) > 0 {
		w.Saw(l.from.side, data, 0)
	}
}
