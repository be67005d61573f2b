package endpoint

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// slaveOf names the slave of a master, as ptsname(3) does.
func slaveOf(master int) (string, error) {
	n, err := unix.IoctlGetUint32(master, unix.TIOCGPTN)
	if err != nil {
		return "", fmt.Errorf("it is not the master of a pseudo-terminal: %w", os.NewSyscallError("ioctl TIOCGPTN", err))
	}
	return fmt.Sprintf("/dev/pts/%d", n), nil
}

// prepare gives the slave its owner and mode before anybody can open it, makes it raw, and opens it once: until then the master
// would not say that nobody is there.
func prepare(master int, path string, s Spec) error {
	if err := dressSlave(path, s); err != nil {
		return err
	}
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return os.NewSyscallError("ioctl TIOCSPTLCK", err)
	}
	slave, err := openSlave(master)
	if err != nil {
		return err
	}
	defer unix.Close(slave) // it has carried nothing
	makeRaw(master, unix.TCSETS)
	var opened, named unix.Stat_t
	err = errors.Join(unix.Fstat(slave, &opened), unix.Stat(path, &named))
	if err == nil && (opened.Dev != named.Dev || opened.Ino != named.Ino) {
		err = fmt.Errorf("/dev/ptmx does not belong to the devpts at /dev/pts; make it a link to pts/ptmx")
	}
	return err
}

// openSlave opens the slave whatever its mode is, by TIOCGPTPEER of ioctl_tty(2). It fails with EBUSY for all but root if somebody has locked it by
// TIOCEXCL. It counts as an opening for inotify(7).
func openSlave(master int) (int, error) {
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC)
	if errno != 0 {
		return -1, os.NewSyscallError("ioctl TIOCGPTPEER", errno)
	}
	return int(fd), nil
}

// dressSlave sets the owner and the mode of a slave. Those that the spec does not name are the hub's own, not the group tty that devpts may have given it.
func dressSlave(path string, s Spec) error {
	uid, gid, err := owners(s)
	if err != nil {
		return err
	}
	if s.Owner == "" {
		uid = os.Geteuid()
	}
	if s.Group == "" {
		gid = os.Getegid()
	}
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot open it in /dev/pts: %w", os.NewSyscallError("open", err)) // without its number, which is another one at the next attempt
	}
	defer unix.Close(fd)                                 // an O_PATH descriptor
	return dress(fd, s.Address.Path(), s.Mode, uid, gid) // by the name that people know, and that stays the same
}

// makeRaw lets bytes through the slave unchanged, as cfmakeraw of termios(3) does, and clears what that leaves (IXOFF, TOSTOP). On a master, TCSETS and
// its like act on the slave. TCSETSF drops as well what the slave has not read, but for what is still on its way (TCOFLUSH).
func makeRaw(master int, request uint) {
	t, err := unix.IoctlGetTermios(master, unix.TCGETS)
	if err != nil {
		return // it is not a terminal
	}
	raw := *t
	raw.Iflag, raw.Oflag, raw.Lflag = 0, 0, 0
	raw.Cflag = raw.Cflag&^(unix.CSIZE|unix.PARENB|unix.CSTOPB|unix.CRTSCTS) | unix.CS8 | unix.CREAD
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if raw != *t || request != unix.TCSETS {
		unix.IoctlSetTermios(master, request, &raw) //nolint:errcheck // it is a terminal
	}
}

// release makes a terminal ready for whoever opens it next: it is not to find what was said to this one, nor its settings. A program that stays, because it is the
// hub that hangs up, keeps its settings; opening the slave makes the Listener look, which finds it as a new peer.
func (p Peer) release() {
	p.flush() // what is on its way to the slave; what has arrived there is left to TCSETSF, in this order
	gone := p.Gone()
	if gone {
		makeRaw(p.FD, unix.TCSETSF)
	} else if t, err := unix.IoctlGetTermios(p.FD, unix.TCGETS); err == nil {
		unix.IoctlSetTermios(p.FD, unix.TCSETSF, t) //nolint:errcheck // it is a terminal
	}
	slave, err := openSlave(p.FD)
	if err != nil {
		return // it is locked, and stays so
	}
	if gone {
		unix.IoctlSetInt(slave, unix.TIOCNXCL, 0) //nolint:errcheck // it is a terminal
	}
	unix.Close(slave) // it has carried nothing
}

// looks is how often a terminal has to seem empty until it is. What is on its way to a program waits while there is no room for it, which is for 4095 bytes,
// and goes on once the program has read; there is on its way no more than two such rooms full (8192 bytes).
const looks = 4

// arrived is how much the program at a terminal has still to read, or less than that; it is 0 only if there is nothing. (The master itself always says 0.)
//
// The program reads at the same time. It may have taken all that had arrived, and not yet have had the kernel bring the rest. Only poll(2) looks at both, but
// not between these two steps of a read(2); FIONREAD waits until they are done, because it takes the lock under which they are.
func (p Peer) arrived() int {
	slave, err := openSlave(p.FD)
	if err != nil {
		return 0
	}
	defer unix.Close(slave) // it has carried nothing
	for range looks {
		empty := poll(slave, unix.POLLIN)&unix.POLLIN == 0
		n := Peer{FD: slave, Nature: Terminal}.Unread()
		if !empty || n > 0 {
			return max(n, 1)
		}
	}
	return 0
}
