package api

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"serialhub/internal/address"
	"serialhub/internal/config"
	"serialhub/internal/endpoint"
)

// listen opens an address of the API. A unix socket is treated like one of a link: a dead owner's file is
// taken over, a live owner is named.
func listen(addr config.APIListener) (net.Listener, error) {
	if addr.Network == "unix" {
		return listenUnix(addr)
	}
	listener, err := net.Listen(addr.Network, addr.Address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("the API cannot listen on %s: %w; end the program that does, or set api.listen to another port", addr, err)
	}
	if err != nil {
		return nil, fmt.Errorf("the API cannot listen on %s: %w", addr, err)
	}
	return listener, nil
}

// specOf is what an endpoint has to know of a unix socket.
func specOf(l config.APIListener) (endpoint.Spec, error) {
	path, err := address.Parse(l.Address, "/")
	return endpoint.Spec{Address: path, Mode: l.Mode, Owner: l.Owner, Group: l.Group}, err
}

// adopt takes over a socket that an earlier program has left. It owns the descriptor also if it returns an error.
func adopt(addr config.APIListener, fd int, trace string) (net.Listener, error) {
	if addr.Network == "unix" {
		spec, err := specOf(addr)
		if err != nil {
			unix.Close(fd) // it is of no use
			return nil, err
		}
		return adoptUnix(fd, spec, trace)
	}
	defer unix.Close(fd) // the listener has a copy
	return netListener(fd)
}

// unixListener closes both views of one socket: net's, which serves, and the endpoint's, which owns the file.
// Both the front and http.Server close it, and a descriptor that is closed twice may be somebody else's by then.
type unixListener struct {
	*net.UnixListener
	owner endpoint.Listener
	once  sync.Once
	err   error // of closing it
}

func listenUnix(addr config.APIListener) (net.Listener, error) {
	spec, err := specOf(addr)
	if err != nil {
		return nil, err
	}
	owner, err := new(endpoint.Opener).Bind(spec)
	if err != nil {
		return nil, fmt.Errorf("the API cannot listen: %w", err)
	}
	var view net.Listener
	if err = owner.Listen(); err == nil {
		view, err = netListener(owner.FD())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the API cannot listen on %s: %w", addr, err), owner.Close())
	}
	return newUnixListener(view, owner)
}

// backlog is how many clients may have connected before the hub takes them; the kernel allows less. One too many at a unix socket is told EAGAIN, which few programs know what to do with.
const backlog = 4096

func netListener(fd int) (net.Listener, error) {
	if err := unix.Listen(fd, backlog); err != nil { // which it does already, but with room for the few peers of an end
		return nil, os.NewSyscallError("listen", err)
	}
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(own), "api")
	defer file.Close() //nolint:errcheck // FileListener has made a copy
	return net.FileListener(file)
}

func newUnixListener(view net.Listener, owner endpoint.Listener) (net.Listener, error) {
	unixView, ok := view.(*net.UnixListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s is not a unix socket", view.Addr()), view.Close(), owner.Close())
	}
	unixView.SetUnlinkOnClose(false) // the file is the owner's
	return &unixListener{UnixListener: unixView, owner: owner}, nil
}

func (l *unixListener) Close() error {
	l.once.Do(func() { l.err = errors.Join(l.UnixListener.Close(), l.owner.Close()) })
	return l.err
}
