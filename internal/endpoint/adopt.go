package endpoint

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"serialhub/internal/address"
)

// AddressOf tells which address a listening socket is bound to. Whether TLS is spoken on it cannot be told.
func AddressOf(fd int) (address.Address, error) {
	if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens == 0 {
		return address.Address{}, errors.Join(errors.New("it is not a socket that listens"), err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return address.Address{}, os.NewSyscallError("getsockname", err)
	}
	switch bound := name.(type) {
	case *unix.SockaddrUnix:
		return address.Parse("unix:"+bound.Name, "/")
	case *unix.SockaddrInet4, *unix.SockaddrInet6:
		return address.Parse("tcp:"+hostPort(bound), "/")
	case *unix.SockaddrVM:
		return address.FromVSock(bound.CID, bound.Port), nil
	default:
		return address.Address{}, errors.New("it is not a unix, TCP or vsock socket")
	}
}

// Kept is the socket, and which file it has.
func (l *unixListener) Kept() (fd int, trace string) {
	if l.file == (fileID{}) {
		return l.socket.Kept()
	}
	return l.fd, l.file.String()
}

// String is what the next process has to know of a file. It looks itself for the rest.
func (f fileID) String() string { return fmt.Sprintf("%d:%d", f.dev, f.ino) }

// Adopt makes a Listener of a descriptor that an earlier process of the hub had for the same end, by its trace. It owns the descriptor, also if
// it returns an error: it is of something else, or its file is gone.
func (o *Opener) Adopt(fd int, s Spec, trace string) (Listener, error) {
	l, err := o.adopt(fd, s, trace)
	if err != nil {
		return nil, fmt.Errorf("what was left of %s cannot be used: %w", s.Address, err)
	}
	return l, nil
}

func (o *Opener) adopt(fd int, s Spec, trace string) (Listener, error) {
	foreign := trace == ForeignTrace
	switch s.Address.Kind() {
	case address.PTY:
		return o.adoptPTY(fd, s, trace)
	case address.TLS:
		l, err := o.adoptTLS(fd, s, foreign)
		if err != nil {
			return nil, err
		}
		if err := l.Listen(); err != nil { // it does already; this has it do the handshakes
			return nil, errors.Join(err, l.Close())
		}
		return l, nil
	case address.TCP:
		l := newTCPListener(fd, s)
		l.foreign = foreign
		return l, nil
	case address.VSock:
		l := newVSockListener(fd, s)
		l.foreign = foreign
		return l, nil
	default:
		return adoptUnix(fd, s, trace)
	}
}

func adoptUnix(fd int, s Spec, trace string) (Listener, error) {
	l := newUnixListener(fd, s)
	l.foreign = trace == ForeignTrace
	if path := l.path(); path != "" {
		var err error
		if l.file, err = fileAt(path); err == nil && (l.file.String() != trace || l.file.kind != unix.S_IFSOCK) {
			err = fmt.Errorf("%s is another file now", path)
		}
		if err != nil {
			unix.Close(fd) // nobody can connect to it
			return nil, err
		}
	}
	return l, nil
}

// AdoptForeign makes a Listener of a socket that another program has bound for an end, such as a service manager. Its file is
// never changed nor removed. It owns the descriptor, also if it returns an error: the end is of another kind.
func (o *Opener) AdoptForeign(fd int, s Spec) (Listener, error) {
	if !Fits(fd, s) {
		unix.Close(fd) // the service manager has it still
		return nil, fmt.Errorf("the socket that was passed for %s is of another kind", s.Address)
	}
	return o.adopt(fd, s, ForeignTrace)
}

// Fits tells whether a listening socket is of the kind that an end wants.
func Fits(fd int, s Spec) bool {
	bound, err := AddressOf(fd)
	if err != nil || s.Connects {
		return false
	}
	kind := s.Address.Kind()
	return bound.Kind() == kind || bound.Kind() == address.TCP && kind == address.TLS
}

// BoundTo tells whether a listening socket is bound to the address of an end.
func BoundTo(fd int, s Spec) bool {
	if !Fits(fd, s) {
		return false
	}
	bound, err := AddressOf(fd)
	if err != nil {
		return false
	}
	if s.Address.Kind() != address.TLS {
		return bound == s.Address
	}
	boundHost, boundPort := bound.HostPort()
	host, port := s.Address.HostPort()
	return boundHost == host && boundPort == port
}

// Dispose closes a listening socket or a terminal of the hub that no end has any more, by its trace, and removes its file. A socket that somebody
// else has bound goes on listening for its owner.
func Dispose(fd int, trace string) {
	defer unix.Close(fd) // others may hold it
	if trace == ForeignTrace {
		return
	}
	if disposePTY(fd, trace) {
		return
	}
	if bound, err := AddressOf(fd); err == nil && bound.Path() != "" {
		if file, err := fileAt(bound.Path()); err == nil && file.String() == trace && file.kind == unix.S_IFSOCK {
			os.Remove(bound.Path()) //nolint:errcheck // it may be gone
		}
	}
	unix.Shutdown(fd, unix.SHUT_RDWR) // the service manager may hold it for a moment
}

// DisposePeer closes a descriptor of a peer that no end has any more, or of a buffer.
func DisposePeer(fd int) {
	if _, err := settings(fd); err == nil {
		closeDevice(fd)
		return
	}
	unix.Shutdown(fd, unix.SHUT_RDWR) // only of a socket
	unix.Close(fd)                    // it is over
}

// AdoptPeer makes a Peer of a descriptor that an earlier process had, by what that knew of it (Trace). It owns the descriptor also if it
// returns an error.
func AdoptPeer(fd int, s Spec, trace string) (Peer, error) {
	p, err := adoptPeer(fd, s, trace)
	if err != nil {
		unix.Close(fd) // it is of no use
	}
	return p, err
}

func adoptPeer(fd int, s Spec, trace string) (Peer, error) {
	switch s.Address.Kind() {
	case address.Unix:
		return localPeer(fd, s.Via())
	case address.PTY:
		return Peer{FD: fd, Nature: Terminal, Via: s.Via(), Credentials: Credentials{Address: trace}}, nil
	case address.Device:
		return adoptDevice(fd, s)
	case address.TLS:
		// The other side of it has ended with the process, but what had come from the peer is still to be read.
		return Peer{FD: fd, Via: s.Via(), Credentials: Credentials{Address: trace}}, nil
	case address.VSock:
		return vmPeer(fd, s.Via(), trace), nil
	default:
		return remotePeer(fd, s.Via(), trace), nil
	}
}

// Trace is what the next process has to know of the peer, for AdoptPeer.
func (p Peer) Trace() string { return p.Credentials.Address }
