package endpoint

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"serialhub/internal/address"
)

// AddressOf tells which address a listening unix socket is bound to.
func AddressOf(fd int) (address.Address, error) {
	if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens == 0 {
		return address.Address{}, errors.Join(errors.New("it is not a socket that listens"), err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return address.Address{}, os.NewSyscallError("getsockname", err)
	}
	bound, ok := name.(*unix.SockaddrUnix)
	if !ok {
		return address.Address{}, errors.New("it is not a unix socket")
	}
	return address.Parse("unix:"+bound.Name, "/")
}

// ForeignTrace is the trace of a socket that somebody else has bound.
const ForeignTrace = "foreign"

// Trace tells the next process what it has to know of the socket, for Adopt.
func (l *Listener) Trace() string {
	switch {
	case l.foreign:
		return ForeignTrace
	case l.file == fileID{}:
		return ""
	default:
		return fmt.Sprintf("%d:%d", l.file.dev, l.file.ino)
	}
}

// Adopt makes a Listener of a socket that an earlier process of the hub had, by its trace. It owns the descriptor, also if it
// returns an error: the socket is bound to another address, or its file is gone.
func Adopt(fd int, s Socket, trace string) (*Listener, error) {
	l := &Listener{fd: fd, addr: s.Address, foreign: trace == ForeignTrace}
	bound, err := AddressOf(fd)
	if err == nil && bound != s.Address {
		err = fmt.Errorf("it is bound to %s", bound)
	}
	if path := l.path(); err == nil && path != "" {
		if l.file, err = fileAt(path); err == nil && l.Trace() != trace {
			err = fmt.Errorf("%s is another file now", path)
		}
	}
	if err != nil {
		unix.Close(fd) // it is of no use
		return nil, fmt.Errorf("the socket for %s that was left cannot be used: %w", s.Address, err)
	}
	return l, nil
}

// Dispose closes a socket of the hub, by its trace, that no end has any more, and removes its file. A socket that somebody else has bound goes
// on listening for its owner.
func Dispose(fd int, trace string) {
	defer unix.Close(fd) // others may hold it
	if trace == ForeignTrace {
		return
	}
	if bound, err := AddressOf(fd); err == nil && bound.Path() != "" {
		if file, err := fileAt(bound.Path()); err == nil && (&Listener{file: file}).Trace() == trace {
			os.Remove(bound.Path()) //nolint:errcheck // it may be gone
		}
	}
	unix.Shutdown(fd, unix.SHUT_RDWR) // the service manager may hold it for a moment
}

// AdoptForeign makes a Listener of a socket that another program has bound to an address, such as a service manager. Its file is
// never changed nor removed.
func AdoptForeign(fd int, addr address.Address) *Listener {
	return &Listener{fd: fd, addr: addr, foreign: true}
}

// AdoptPeer makes a Peer of a connected socket that an earlier process has accepted. It owns the descriptor also if it returns an error.
func AdoptPeer(fd int) (Peer, error) {
	cred, err := credentials(fd)
	if err != nil {
		unix.Close(fd) // it is of no use
		return Peer{}, err
	}
	return Peer{FD: fd, Credentials: cred}, nil
}
