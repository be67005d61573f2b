package endpoint

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Peer is a program, or a device, at an end. Whoever holds the Peer owns the descriptor, which is non-blocking
// and close-on-exec, and closes it by Close.
type Peer struct {
	FD          int
	Nature      Nature
	Via         string // how it came, as Spec.Via says it
	Credentials Credentials
	bridge      *bridge // what carries its bytes, if it is on TLS and came to this process
}

// Nature is how a peer's descriptor behaves.
type Nature int

// The natures of descriptors.
const (
	Local    Nature = iota // a unix socket, which hangs up when its peer closes it
	Remote                 // a TCP socket: only the end of what its peer says tells that it has gone
	VM                     // a vsock socket: likewise, and it forgets what is unread when it is shut down
	Terminal               // the master of a pseudo-terminal: whoever opens the slave after another shares its queues
	Line                   // a serial port
)

// Credentials are what is known of a peer from its connection. For a unix socket they are those of the process that connected, or that
// listens, as the kernel noted them then (SO_PEERCRED of unix(7)); PID is 0 for a process that is not visible from the hub's PID namespace.
// For any other peer they are 0, and Address says where it is.
type Credentials struct {
	PID, UID, GID int
	Address       string // host:port, cid:port, or the path of a terminal or a serial port; "" for a unix socket
	Subject       string // of the certificate that it has shown, if it has
}

// Complete adds who is at a terminal. It looks into /proc, which can block.
func (c Credentials) Complete() Credentials {
	if !slavePath.MatchString(c.Address) {
		return c
	}
	pid := TerminalUser(c.Address)
	var process unix.Stat_t
	if pid != 0 && unix.Stat(fmt.Sprintf("/proc/%d", pid), &process) == nil {
		c.PID, c.UID, c.GID = pid, int(process.Uid), int(process.Gid)
	}
	return c
}

// localPeer is who is at the other side of a unix socket.
func localPeer(fd int, via string) (Peer, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Peer{}, os.NewSyscallError("getsockopt SO_PEERCRED", err)
	}
	// A byte that is sent out of band (MSG_OOB) would be counted by SIOCINQ and never read.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_OOBINLINE, 1); err != nil {
		return Peer{}, os.NewSyscallError("setsockopt SO_OOBINLINE", err)
	}
	return Peer{FD: fd, Via: via, Credentials: Credentials{PID: int(cred.Pid), UID: int(cred.Uid), GID: int(cred.Gid)}}, nil
}

// departure are the events of poll(2) that say that the peer has gone.
func (p Peer) departure() int16 {
	if p.Nature == Remote || p.Nature == VM {
		return unix.POLLHUP | unix.POLLERR | unix.POLLRDHUP
	}
	return unix.POLLHUP | unix.POLLERR
}

// Departure is what epoll(7) has to be asked for, and reports, when the peer has gone.
func (p Peer) Departure() uint32 { return uint32(p.departure()) } // the same bits as those of poll(2)

// Gone tells whether the peer has left.
func (p Peer) Gone() bool { return poll(p.FD, p.departure())&p.departure() != 0 }

// Readable tells whether there is something to read from the peer, or the end of it.
func (p Peer) Readable() bool { return poll(p.FD, unix.POLLIN) != 0 }

// poll tells which of some events a descriptor is ready for; POLLHUP and POLLERR are always among them.
func poll(fd int, events int16) int16 {
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
	if n, err := unix.Poll(fds, 0); err != nil || n == 0 {
		return 0
	}
	return fds[0].Revents
}

// Err takes the error that is pending on the descriptor: why the peer has left, or nil if it has closed cleanly.
func (p Peer) Err() error {
	if p.bridge != nil {
		return p.bridge.err()
	}
	switch p.Nature {
	case Terminal:
		return nil
	case Line:
		return errUnplugged
	}
	n, err := unix.GetsockoptInt(p.FD, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return os.NewSyscallError("getsockopt SO_ERROR", err)
	}
	if n != 0 {
		return unix.Errno(n)
	}
	return nil
}

// Unread is how many bytes from the peer can be read now. There may be more than that only at a terminal or a serial port; it is
// 0 only if there is nothing.
func (p Peer) Unread() int {
	if p.Nature == Terminal {
		poll(p.FD, unix.POLLIN) // what has just been written is counted only once the kernel has moved it on; poll(2) sees to that if nothing is there yet
	}
	if n, err := unix.IoctlGetInt(p.FD, unix.SIOCINQ); err == nil {
		return n
	}
	// Before Linux 6.17 vsock does not tell.
	var some [4096]byte
	n, _, err := unix.Recvfrom(p.FD, some[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	if err != nil {
		return 0
	}
	return n
}

// Untaken is how many bytes that went to the peer it has still to take, as far as the kernel can tell.
func (p Peer) Untaken() int {
	if p.Nature == Terminal {
		return p.arrived()
	}
	n, err := unix.IoctlGetInt(p.FD, unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}

// Bridged tells whether this process works for the connection, as it does for TLS, so that what crosses it goes through its memory.
func (p Peer) Bridged() bool { return p.bridge != nil }

// HangUp ends the connection, also where somebody else holds the descriptor, such as the service manager. What has come from the peer can still
// be read; of vsock, only if it is the peer that has ended it.
func (p Peer) HangUp() {
	switch p.Nature {
	case Local, Remote:
		unix.Shutdown(p.FD, unix.SHUT_RDWR) // it may have gone
	case VM:
		how := unix.SHUT_RDWR
		if p.Gone() {
			how = unix.SHUT_WR
		}
		unix.Shutdown(p.FD, how)
	case Terminal:
		p.release()
	case Line:
	}
}

// flush drops what a terminal has not taken yet; see TCOFLUSH of tcflush(3).
func (p Peer) flush() {
	unix.IoctlSetInt(p.FD, unix.TCFLSH, unix.TCOFLUSH) //nolint:errcheck // there is nothing else to drop
}

// Close gives the descriptor back. It does not block: what a serial port does not take any more is dropped.
func (p Peer) Close() {
	if p.Nature == Line {
		closeDevice(p.FD)
		return
	}
	unix.Close(p.FD) // it is of no use any more
}

// Return gives a borrowed descriptor back: one of several of the same connection.
func (p Peer) Return() { unix.Close(p.FD) } // the others have it still

// Adjust takes over what differs in the spec of the same address.
func (p Peer) Adjust(s Spec) error {
	if p.bridge != nil {
		return p.bridge.adjust(s)
	}
	switch p.Nature {
	case Remote:
		return keepAlive(p.FD, s.KeepAlive)
	case Line:
		return s.Serial.apply(p.FD)
	case Local, VM, Terminal:
	}
	return nil
}

// ErrNoBreak says that a peer is not at the end of a serial line.
var ErrNoBreak = errors.New("only a serial port can send a break")

// Break sends a break for as long as that, after what has been written. It blocks.
func (p Peer) Break(d time.Duration) error {
	if p.Nature != Line {
		return ErrNoBreak
	}
	return sendBreak(p.FD, d)
}
