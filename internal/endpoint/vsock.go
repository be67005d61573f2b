package endpoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

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

// Contexts of vsock(7) that are not those of a VM.
const (
	localCID = unix.VMADDR_CID_LOCAL
	hostCID  = unix.VMADDR_CID_HOST
)

// describeVSock adds to an error what a person can do about it.
func describeVSock(addr address.Address, err error) error {
	cid, port := addr.ContextPort()
	switch {
	case errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("%s: the kernel has no vsock for the hub (%w); load it (modprobe vsock), or allow it to its service (RestrictAddressFamilies=AF_VSOCK)", addr, err)
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%s is in use by another program (%w); choose another port", addr, err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%s: uid %d may not use a port below 1024 (%w); choose a higher one", addr, os.Geteuid(), err)
	case errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.ECONNREFUSED):
		where := " in the VM"
		if cid == localCID || cid == hostCID {
			where = ""
		}
		return fmt.Errorf("nobody listens at %s (%w); start the program%s that does", addr, err, where)
	case isNoWay(err) && cid == localCID:
		return fmt.Errorf("%s: this kernel has no vsock within the machine (%w); load it: modprobe vsock_loopback", addr, err)
	case errors.Is(err, unix.EADDRNOTAVAIL) && cid == hostCID:
		return fmt.Errorf("%s: this machine is not the host of VMs (%w); modprobe vhost_vsock if it shall be, or write vsock:any:%d", addr, err, port)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("%s: %d is not the context of this machine (%w); write vsock:any:%d", addr, cid, err, port)
	case isNoWay(err) && cid == hostCID:
		return fmt.Errorf("%s: the host cannot be reached (%w); in a VM, start it with a vsock device; on the host itself: modprobe -a vhost_vsock vsock_loopback", addr, err)
	case isNoWay(err):
		return fmt.Errorf("there is no VM with the context %d (%w); start it with a vsock device of that guest-cid, and on its host: modprobe vhost_vsock", cid, err)
	default:
		return fmt.Errorf("%s: %w", addr, err)
	}
}

// isNoWay tells whether there is nothing that has the context, or nothing that leads there.
func isNoWay(err error) bool {
	return slices.ContainsFunc([]syscall.Errno{unix.EADDRNOTAVAIL, unix.ENODEV, unix.ENETUNREACH, unix.EHOSTUNREACH, unix.ETIMEDOUT}, func(no syscall.Errno) bool {
		return errors.Is(err, no)
	})
}
