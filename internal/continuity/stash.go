package continuity

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// maxText is how long the text of a stash's message may be, in bytes.
	maxText = 16 << 10
	// maxDescriptors is how many descriptors a message carries at most (SCM_MAX_FD of the kernel).
	maxDescriptors = 253
)

// Stash keeps one message, a text and descriptors, in the kernel: in the queue of a datagram socket that is connected to
// itself. What the descriptors refer to stays open as long as somebody holds the socket, whoever that is; so one socket, which is
// handed on once, stands for descriptors that come and go (SCM_RIGHTS of unix(7)). A Stash owns its socket.
// It is not safe for use by several goroutines at once.
type Stash struct {
	fd       int
	messages int // in the queue: one, or two if the process was killed between sending a newer one and taking out the older
}

// NewStash makes an empty stash.
func NewStash() (*Stash, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	s := &Stash{fd: fd}
	if err := s.connectToItself(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// connectToItself gives the socket a name of the kernel's choice, and makes it the only one that may send to it.
func (s *Stash) connectToItself() error {
	if err := unix.Bind(s.fd, &unix.SockaddrUnix{}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	name, err := unix.Getsockname(s.fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	return os.NewSyscallError("connect", unix.Connect(s.fd, name))
}

// OpenStash takes over a stash that an earlier process has made, and returns what was kept in it last. The caller owns the
// descriptors, which are close-on-exec; the stash keeps them as well.
func OpenStash(fd int) (s *Stash, text []byte, descriptors []int, err error) {
	s = &Stash{fd: fd}
	defer func() {
		if err != nil {
			closeAll(descriptors)
			err = errors.Join(fmt.Errorf("a stash cannot be read: %w", err), s.Close())
		}
	}()
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEEK_OFF, 0); err != nil {
		return s, nil, nil, os.NewSyscallError("setsockopt SO_PEEK_OFF", err)
	}
	for {
		newer, fds, err := peek(fd)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			return s, nil, descriptors, err
		}
		s.messages++
		closeAll(descriptors)
		text, descriptors = newer, fds
	}
	return s, text, descriptors, os.NewSyscallError("setsockopt SO_PEEK_OFF", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEEK_OFF, -1))
}

// peek reads the next message without taking it out of the queue.
func peek(fd int) ([]byte, []int, error) {
	text, control := make([]byte, maxText), make([]byte, unix.CmsgSpace(4*maxDescriptors))
	n, controls, _, _, err := unix.Recvmsg(fd, text, control, unix.MSG_PEEK|unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, nil, os.NewSyscallError("recvmsg", err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:controls])
	if err != nil {
		return nil, nil, os.NewSyscallError("recvmsg", err)
	}
	var descriptors []int
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return nil, descriptors, os.NewSyscallError("recvmsg", err)
		}
		descriptors = append(descriptors, fds...)
	}
	return text[:n], descriptors, nil
}

// Keep keeps a text and descriptors in the place of what was kept before. The descriptors stay the caller's. At no moment is
// there neither the old nor the new. It does not block.
func (s *Stash) Keep(text []byte, descriptors []int) error {
	if len(text) > maxText || len(descriptors) > maxDescriptors {
		return fmt.Errorf("%d bytes and %d descriptors are too many for a stash", len(text), len(descriptors))
	}
	if err := unix.Sendmsg(s.fd, text, unix.UnixRights(descriptors...), nil, unix.MSG_DONTWAIT); err != nil {
		return os.NewSyscallError("sendmsg", err)
	}
	old := s.messages
	s.messages++
	return s.takeOut(old)
}

// Empty lets go of what is kept.
func (s *Stash) Empty() error { return s.takeOut(s.messages) }

func (s *Stash) takeOut(n int) error {
	for range n {
		// Without room for descriptors the kernel closes them.
		if _, _, _, _, err := unix.Recvmsg(s.fd, nil, nil, unix.MSG_DONTWAIT); err != nil {
			return os.NewSyscallError("recvmsg", err)
		}
		s.messages--
	}
	return nil
}

// FD is the socket, to be handed on; it stays the Stash's.
func (s *Stash) FD() int { return s.fd }

// Close closes the socket. If nobody else holds it, what is kept is closed, too.
func (s *Stash) Close() error { return os.NewSyscallError("close", unix.Close(s.fd)) }

func closeAll(descriptors []int) {
	for _, fd := range descriptors {
		unix.Close(fd) // others hold what it refers to
	}
}
