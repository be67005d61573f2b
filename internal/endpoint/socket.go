package endpoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// backlog is how many peers may have connected before the hub takes them. With a full backlog connect(2) blocks,
// and a VM hangs before it starts. The kernel caps it at net.core.somaxconn.
const backlog = 128

// socket is what all listening sockets have in common. It owns the descriptor.
type socket struct {
	fd      int
	name    string                                 // for errors, and how peers come in
	foreign bool                                   // somebody else has bound it
	admit   func(int, unix.Sockaddr) (Peer, error) // makes a Peer of an accepted descriptor
}

// Listen lets peers connect from now on.
func (s *socket) Listen() error { return os.NewSyscallError("listen", unix.Listen(s.fd, backlog)) }

// FD is the listening descriptor, to be polled; it stays the socket's.
func (s *socket) FD() int { return s.fd }

// Via is how peers come in.
func (s *socket) Via() string { return s.name }

// Waiting tells whether a peer has connected that is not accepted yet.
func (s *socket) Waiting() bool { return poll(s.fd, unix.POLLIN) != 0 }

// Accept takes the next peer that has connected. It never blocks: without one it returns ErrNoPeer.
func (s *socket) Accept() (Peer, error) {
	for {
		fd, from, err := unix.Accept4(s.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED):
			continue
		case errors.Is(err, unix.EAGAIN):
			return Peer{}, ErrNoPeer
		case err != nil:
			return Peer{}, fmt.Errorf("%s: %w", s.name, os.NewSyscallError("accept", err))
		}
		p, err := s.admit(fd, from)
		if err != nil {
			unix.Close(fd) // a socket that has carried nothing
			return Peer{}, &RefusedError{Peer: p.Credentials, Err: fmt.Errorf("%s: %w", s.name, err)}
		}
		return p, nil
	}
}

// ForeignTrace is the trace of a socket that somebody else has bound.
const ForeignTrace = "foreign"

// Kept is the listening descriptor, and whether somebody else has bound it.
func (s *socket) Kept() (fd int, trace string) {
	if s.foreign {
		return s.fd, ForeignTrace
	}
	return s.fd, ""
}

// Close stops listening.
func (s *socket) Close() error { return os.NewSyscallError("close", unix.Close(s.fd)) }

func (s *socket) keptFile() (string, fileID) { return "", fileID{} }

// connect is connect(2) with a descriptor that does not block; it waits until that is done, or ctx ends. The descriptor stays the caller's.
func connect(ctx context.Context, fd int, to unix.Sockaddr) error {
	err := unix.Connect(fd, to)
	if !errors.Is(err, unix.EINPROGRESS) {
		return os.NewSyscallError("connect", err)
	}
	// The runtime's poller waits for it; it wants a descriptor that it can close.
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(own), "connecting")
	defer file.Close()                                                           //nolint:errcheck // the connection is the other descriptor's
	stop := context.AfterFunc(ctx, func() { file.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // it fails only for a file that is closed
	defer stop()
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	err = raw.Write(func(uintptr) bool { return poll(fd, unix.POLLOUT) != 0 })
	if err != nil {
		return errors.Join(err, ctx.Err())
	}
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && n != 0 {
		err = unix.Errno(n)
	}
	return os.NewSyscallError("connect", err)
}
