package endpoint

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"serialhub/internal/address"
)

// vsockListener accepts the peers of one end on a socket between a host and its VMs, of vsock(7).
type vsockListener struct{ socket }

// Adjust has nothing to take over.
func (l *vsockListener) Adjust(Spec) error { return nil }

func newVSockListener(fd int, s Spec) *vsockListener {
	via := s.Via()
	return &vsockListener{socket{fd: fd, name: s.Address.String(), admit: func(fd int, from unix.Sockaddr) (Peer, error) {
		where := ""
		if vm, ok := from.(*unix.SockaddrVM); ok {
			where = fmt.Sprintf("%d:%d", vm.CID, vm.Port)
		}
		return vmPeer(fd, via, where), nil
	}}}
}

func vmPeer(fd int, via, where string) Peer {
	return Peer{FD: fd, Nature: VM, Via: via, Credentials: Credentials{Address: where}}
}

func vsockName(addr address.Address) unix.Sockaddr {
	cid, port := addr.ContextPort()
	return &unix.SockaddrVM{CID: cid, Port: port}
}

func newVSock() (int, error) {
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	return fd, os.NewSyscallError("socket", err)
}

// bindVSock makes the socket.
func bindVSock(s Spec) (Listener, error) {
	fd, err := newVSock()
	if err != nil {
		return nil, describeVSock(s.Address, err)
	}
	if err := unix.Bind(fd, vsockName(s.Address)); err != nil {
		unix.Close(fd) // it is not bound
		return nil, describeVSock(s.Address, os.NewSyscallError("bind", err))
	}
	return newVSockListener(fd, s), nil
}

// dialVSock connects to a program in a VM, or on the host of this one.
func dialVSock(ctx context.Context, s Spec) (Peer, error) {
	fd, err := newVSock()
	if err != nil {
		return Peer{}, describeVSock(s.Address, err)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	if err := connect(ctx, fd, vsockName(s.Address)); err != nil {
		unix.Close(fd) // it is not connected
		return Peer{}, describeVSock(s.Address, err)
	}
	cid, port := s.Address.ContextPort()
	return vmPeer(fd, s.Via(), fmt.Sprintf("%d:%d", cid, port)), nil
}

// describeVSock adds to an error what a person can do about it.
func describeVSock(addr address.Address, err error) error {
	cid, port := addr.ContextPort()
	switch {
	case errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("%s: this kernel has no vsock (%w); load it: modprobe vsock", addr, err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("%s: %d is not the context of this machine (%w); write vsock:any:%d", addr, cid, err, port)
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%s is in use by another program (%w); choose another port", addr, err)
	case errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("nobody listens at %s (%w); start the program in the VM that does", addr, err)
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ETIMEDOUT):
		return fmt.Errorf("there is no VM with the context %d (%w); start it with a vsock device of that guest-cid, and on its host: modprobe vhost_vsock", cid, err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%s: uid %d may not use a port below 1024 (%w); choose a higher one", addr, os.Geteuid(), err)
	default:
		return fmt.Errorf("%s: %w", addr, err)
	}
}
