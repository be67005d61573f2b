package endpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// ptyListener is the master of a pseudo-terminal, see pty(7): a peer comes by opening its slave, to which a symbolic link leads. It owns the
// master and the bell. Nothing blocks, but for Listen when it is called again. Kept is safe to call while it is in use, too, and so is Listen.
type ptyListener struct {
	master  int
	link    *ptyLink
	listens atomic.Bool // Listen has been called
	via     string
	bell    *bell // is rung when somebody has opened the slave
	forget  func()
}

// openPTY makes a pseudo-terminal. Nobody can find it before Listen makes the link, but the path is looked at already.
func (o *Opener) openPTY(s Spec) (Listener, error) {
	stale, err := staleLink(s.Address.Path(), "")
	if err != nil {
		return nil, err
	}
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, noPTY(s, err)
	}
	slave, err := slaveOf(master)
	if err == nil {
		err = prepare(master, slave, s)
	}
	if err != nil {
		unix.Close(master) // it has carried nothing
		return nil, fmt.Errorf("no pseudo-terminal for %s: %w", s.Address, err)
	}
	return o.newPTYListener(master, s, newPTYLink(s.Address, slave, fileID{}, stale))
}

// noPTY adds to an error of opening /dev/ptmx what a person can do about it.
func noPTY(s Spec, err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC):
		return fmt.Errorf("no pseudo-terminal for %s: there are as many as there may be (%w); raise kernel.pty.max (sysctl)", s.Address, err)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.EACCES):
		return fmt.Errorf("no pseudo-terminal for %s: /dev/ptmx: %w; mount devpts at /dev/pts, and let uid %d open /dev/ptmx", s.Address, err, os.Geteuid())
	default:
		return fmt.Errorf("no pseudo-terminal for %s: %w", s.Address, &os.PathError{Op: "open", Path: "/dev/ptmx", Err: err})
	}
}

// newPTYListener watches the slave. It owns the master also if it returns an error.
func (o *Opener) newPTYListener(master int, s Spec, link *ptyLink) (*ptyListener, error) {
	l := &ptyListener{master: master, link: link, via: s.Via()}
	var err error
	if l.bell, err = newBell(); err != nil {
		unix.Close(master) // nobody can know of it yet
		return nil, err
	}
	if l.forget, err = o.notices.Opened(link.target, l.bell.ring); err != nil {
		unix.Close(master) // likewise
		l.bell.close()
		return nil, fmt.Errorf("cannot see who opens %s: %w", s.Address, err)
	}
	return l, nil
}

// Listen makes the link to the slave. Called again, it makes the link again if that has been deleted; the terminal and who is at it stay. The first call is the
// loop's, and does not block; later ones look in /proc for who has what is in the way.
func (l *ptyListener) Listen() error {
	if l.listens.Swap(true) {
		if err := l.link.judge(); err != nil {
			return err
		}
	}
	return l.link.place()
}

// Via is how peers come in.
func (l *ptyListener) Via() string { return l.via }

// FD is readable when somebody has opened the slave; it stays the Listener's.
func (l *ptyListener) FD() int { return l.bell.fd }

// Waiting tells whether somebody has the slave open, or has written and left.
func (l *ptyListener) Waiting() bool {
	events := poll(l.master, unix.POLLIN)
	return events&unix.POLLHUP == 0 || events&unix.POLLIN != 0
}

// Accept makes a Peer of whoever is at the slave. It shall be called only while there is no other Peer of this terminal, for it would read the same.
func (l *ptyListener) Accept() (Peer, error) {
	l.bell.silence() // before the look: whoever comes after that rings again
	if !l.Waiting() {
		makeRaw(l.master, unix.TCSETS) // somebody may have come, set it otherwise and left, as stty(1) does
		return Peer{}, ErrNoPeer
	}
	fd, err := unix.FcntlInt(uintptr(l.master), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		l.bell.ring() // there is still somebody
		return Peer{}, fmt.Errorf("%s: %w", l.link.addr, os.NewSyscallError("fcntl F_DUPFD_CLOEXEC", err))
	}
	return Peer{FD: fd, Nature: Terminal, Via: l.via, Credentials: Credentials{Address: l.link.target}}, nil
}

// Adjust gives the slave another mode and other owners.
func (l *ptyListener) Adjust(s Spec) error {
	if err := dressSlave(l.link.target, s); err != nil {
		return err
	}
	return l.link.touch()
}

// Kept is the master, and which link there is to its slave.
func (l *ptyListener) Kept() (fd int, trace string) { return l.master, l.link.trace() }

func (l *ptyListener) keptFile() (string, fileID) { return l.link.kept() }

// Close removes the link, unless another has taken its place. Who is at the slave is hung up once no Peer has the master either.
func (l *ptyListener) Close() error {
	err := l.link.remove()
	l.forget()
	l.bell.close()
	return errors.Join(err, os.NewSyscallError("close", unix.Close(l.master)))
}

// adoptPTY goes on with the master that an earlier process had. The terminal stays as it is set, because somebody may be using it.
func (o *Opener) adoptPTY(fd int, s Spec, trace string) (Listener, error) {
	slave, err := slaveOf(fd)
	if err != nil {
		unix.Close(fd) // it is something else
		return nil, err
	}
	path, file := readTrace(trace)
	if path != s.Address.Path() {
		unix.Close(fd) // nobody can find it
		return nil, fmt.Errorf("it is the terminal of %q", path)
	}
	l, err := o.newPTYListener(fd, s, newPTYLink(s.Address, slave, file, oldLink{}))
	if err != nil {
		return nil, err
	}
	if err = l.link.judge(); err == nil {
		err = l.link.place()
	}
	if err != nil {
		l.Close() //nolint:errcheck // the first error is the one to report
		return nil, err
	}
	l.link.touch() //nolint:errcheck // another hub may take it for one that was left behind, then
	l.bell.ring()  // for whoever opened it in the meantime
	return l, nil
}

// disposePTY removes the link to a terminal that no end has any more, and tells whether fd is one.
func disposePTY(fd int, trace string) bool {
	slave, err := slaveOf(fd)
	if err != nil {
		return false
	}
	path, file := readTrace(trace)
	removeLink(path, slave, file) //nolint:errcheck // it may be gone
	return true
}

// bell is an eventfd(2) that is readable once it has been rung. It may be rung from any goroutine, also after it has been closed: Notices may tell
// for a moment longer.
type bell struct {
	fd     int
	mu     sync.Mutex
	closed bool
}

func newBell() (*bell, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	return &bell{fd: fd}, os.NewSyscallError("eventfd", err)
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		unix.Write(b.fd, binary.NativeEndian.AppendUint64(nil, 1)) //nolint:errcheck // it fails only if it has been rung 2⁶⁴ times
	}
}

func (b *bell) silence() {
	var count [8]byte
	unix.Read(b.fd, count[:]) //nolint:errcheck // it may not have been rung
}

func (b *bell) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	unix.Close(b.fd) // nobody polls it any more
}
