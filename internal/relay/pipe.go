package relay

import (
	"errors"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// slots is how many messages a pipe takes where the kernel lets it: splice(2) fills one slot for each message that was
	// written to a unix socket, however small it is.
	slots = 256
	// chunk is how many bytes a pipe holds at most.
	chunk = 256 << 10
	// spares is how many pipes a pool keeps that no lane needs.
	spares = 4
	// hungryTime is how long lanes that need a pipe wait at most until it is tried again to make one.
	hungryTime = 100 * time.Millisecond
)

// Vault keeps pipes where they outlive the process. Its functions are called on the loop's goroutine, and do not wait.
type Vault interface {
	AddPipe(r, w int) (slot int, owner *atomic.Uint64, safe bool) // owner is where the pipe's lane is written; safe, that the pipe would survive a SIGKILL
	RemovePipe(slot int) bool                                     // false if that cannot be done now, and the pipe is to stay
}

// Pipe is a pipe that an earlier process has left. The loop that is made with it owns its descriptors.
type Pipe struct {
	R, W  int
	Slot  int
	Owner *atomic.Uint64
}

// pipe is a kernel pipe, non-blocking, on its way through which bytes cross a lane (pipe(7)).
type pipe struct {
	r, w int
	room int // how many bytes it may hold; it takes that many in any case, if they are written in one piece
	held int // how many it holds

	slot  int            // of the vault, if there is one
	owner *atomic.Uint64 // in the vault, the id of the lane that used it last; nil if the pipe is not in a vault
	risky bool           // it would not survive a SIGKILL
}

func newPipe() (*pipe, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	// Without privileges, all pipes of a user have fs.pipe-user-pages-soft pages; then this one stays as it is.
	size, err := unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, slots*os.Getpagesize())
	if err != nil {
		size, err = unix.FcntlInt(uintptr(fds[1]), unix.F_GETPIPE_SZ, 0)
	}
	p := &pipe{r: fds[0], w: fds[1], room: min(size, chunk)}
	if err != nil {
		p.close()
		return nil, os.NewSyscallError("fcntl", err)
	}
	return p, nil
}

func (p *pipe) close() {
	unix.Close(p.r) // a pipe
	unix.Close(p.w) // a pipe
}

// moveFrom moves up to limit bytes from a peer into the pipe, without blocking, and returns how many. It returns 0 when
// the peer will send no more. Through user space they go only if the peer's descriptor cannot be spliced; then nothing is moved into a
// pipe that is not empty, and EAGAIN returned.
func (p *pipe) moveFrom(from *peer, limit int, scratch []byte) (int, error) {
	if limit = min(limit, p.room-p.held); limit == 0 {
		return 0, unix.EAGAIN
	}
	if !from.copied {
		n, err := splice(from.FD, p.w, limit)
		if !errors.Is(err, unix.EINVAL) {
			p.held += n
			return n, err
		}
		from.copied = true
	}
	if p.held > 0 {
		return 0, unix.EAGAIN
	}
	n, err := read(from.FD, scratch[:limit])
	p.write(scratch[:n])
	return n, err
}

// moveTo moves what the pipe holds to a peer, as far as it takes it without blocking, and returns how many bytes. If the
// peer's descriptor cannot be spliced they go through user space; what the peer does not take is put back.
func (p *pipe) moveTo(to *peer, scratch []byte) (int, error) {
	if !to.copied {
		n, err := splice(p.r, to.FD, p.held)
		if !errors.Is(err, unix.EINVAL) {
			p.held -= n
			return n, err
		}
		to.copied = true
	}
	bytes := scratch[:p.read(scratch)]
	n, err := unix.Write(to.FD, bytes)
	n = max(n, 0)
	p.write(bytes[n:])
	return n, err
}

// read takes bytes out of the pipe, as many as it holds or buf takes.
func (p *pipe) read(buf []byte) (n int) {
	buf = buf[:min(len(buf), p.held)]
	for n < len(buf) {
		got, err := read(p.r, buf[n:])
		if err != nil {
			panic(os.NewSyscallError("read of a pipe that holds bytes", err))
		}
		n += got
	}
	p.held -= n
	return n
}

// write puts data, of which there is no more than the pipe has room for, into the pipe, which is empty.
func (p *pipe) write(data []byte) {
	for len(data) > 0 {
		n, err := unix.Write(p.w, data)
		if err != nil && !errors.Is(err, unix.EINTR) {
			panic(os.NewSyscallError("write to an empty pipe", err))
		}
		n = max(n, 0)
		p.held += n
		data = data[n:]
	}
}

// read is read(2), which a signal does not interrupt; it returns no count below 0.
func read(fd int, buf []byte) (int, error) {
	for {
		n, err := unix.Read(fd, buf)
		if !errors.Is(err, unix.EINTR) {
			return max(n, 0), err
		}
	}
}

// splice is splice(2) without blocking; it returns no count below 0. The scheduler is not told of the system call, which costs as
// much as a short splice does: it never waits, and moves a chunk at most.
func splice(from, to, n int) (int, error) {
	for {
		moved, _, errno := unix.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(n), unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
		switch errno {
		case 0:
			return int(moved), nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, unix.EAGAIN // a constant, where errno would be allocated
		default:
			return 0, errno
		}
	}
}

// pool lends pipes to the lanes of a loop, for as long as they hold bytes: an idle link has none, and the pipe that was
// used last is used next.
type pool struct {
	vault  Vault // may be nil
	free   []*pipe
	found  map[uint64]*pipe // left by an earlier process with bytes in them, by the lane's id
	hungry []*lane          // that wait for a pipe, because no more descriptors can be had, or the vault is busy
	since  time.Time        // since when there has always been one; zero if there is none
}

// borrow returns an empty pipe, or nil if there is none now.
func (p *pool) borrow() *pipe {
	if len(p.free) == 0 && !p.grow() {
		return nil
	}
	last := len(p.free) - 1
	pipe := p.free[last]
	p.free = p.free[:last]
	return pipe
}

func (p *pool) grow() bool {
	pipe, err := newPipe()
	if err != nil {
		return false
	}
	if p.vault != nil {
		var safe bool
		pipe.slot, pipe.owner, safe = p.vault.AddPipe(pipe.r, pipe.w)
		pipe.risky = !safe
		if pipe.risky && (p.since.IsZero() || time.Since(p.since) < hungryTime) && p.discard(pipe) {
			return false // the vault is busy; only if it stays so, it is better to go on without it
		}
	}
	p.free = append(p.free, pipe)
	return true
}

// inherit takes over pipes of an earlier process.
func (p *pool) inherit(pipes []Pipe) error {
	for _, left := range pipes {
		size, err := unix.FcntlInt(uintptr(left.W), unix.F_GETPIPE_SZ, 0)
		if err != nil {
			return os.NewSyscallError("fcntl", err)
		}
		held, err := unix.IoctlGetInt(left.R, unix.SIOCINQ)
		if err != nil {
			return os.NewSyscallError("ioctl SIOCINQ", err)
		}
		pipe := &pipe{r: left.R, w: left.W, room: min(size, chunk), held: held, slot: left.Slot, owner: left.Owner}
		if held > 0 {
			p.found[left.Owner.Load()] = pipe
		} else {
			p.giveBack(pipe)
		}
	}
	return nil
}

// lose closes pipes of an earlier process that no lane has claimed.
func (p *pool) lose() {
	for _, pipe := range p.found {
		p.giveBack(pipe)
	}
	p.found = nil
}

// discard closes a pipe, unless that would leave it in the vault for ever.
func (p *pool) discard(pipe *pipe) bool {
	if pipe.owner != nil && !p.vault.RemovePipe(pipe.slot) {
		return false
	}
	pipe.close()
	return true
}

// giveBack takes a pipe that is not needed any more. If bytes are left in it, they are lost.
func (p *pool) giveBack(pipe *pipe) {
	if (pipe.risky || pipe.held > 0 || len(p.free) >= spares) && p.discard(pipe) {
		return
	}
	for pipe.held > 0 {
		var waste [4096]byte
		pipe.read(waste[:])
	}
	p.free = append(p.free, pipe)
}

// wait has a lane wait until there is a pipe again.
func (p *pool) wait(l *lane) {
	if !l.hungry {
		if p.since.IsZero() {
			p.since = time.Now()
		}
		l.hungry = true
		p.hungry = append(p.hungry, l)
	}
}

// feed lets the lanes that wait for a pipe try again, if there is one.
func (p *pool) feed() {
	if len(p.hungry) == 0 || len(p.free) == 0 && !p.grow() {
		return
	}
	for _, lane := range slices.Clone(p.hungry) {
		p.hungry = p.hungry[1:]
		lane.hungry = false
		guard(lane.link, func() { lane.link.goOn(lane) })
	}
	if len(p.hungry) == 0 {
		p.since = time.Time{}
	}
}

func (p *pool) close() {
	for _, pipe := range p.free {
		pipe.close()
	}
	p.free = nil
}
