package ends

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// vsockLocal is VMADDR_CID_LOCAL of vsock(7): this machine, where the kernel has vsock_loopback.
const vsockLocal = 1

func vsockListen() kind {
	return kind{name: "vsock", lack: lackOfVSock, make: func(*testing.T, string, string) site {
		port := freeVSock()
		return &listenSite{ofVSock(port), fmt.Sprintf("{listen: %q}", fmt.Sprintf("vsock:any:%d", port))}
	}}
}

func vsockConnect() kind {
	return kind{name: "vsockc", fetched: true, lack: lackOfVSock, make: func(*testing.T, string, string) site {
		port := freeVSock()
		return &connectSite{socket: ofVSock(port), text: fmt.Sprintf("{connect: %q}", fmt.Sprintf("vsock:local:%d", port))}
	}}
}

var vsocksTaken atomic.Uint32

func freeVSock() uint32 { return 20_000_000 + uint32(os.Getpid())<<6 + vsocksTaken.Add(1) }

// lackOfVSock says why a program here cannot connect to another one here over vsock; "" if it can.
var lackOfVSock = sync.OnceValue(func() string {
	s := ofVSock(freeVSock())
	listener, err := s.listen()
	if err != nil {
		return fmt.Sprintf("this kernel has no vsock: %v", err)
	}
	defer listener.Close()
	conn, err := s.dial()
	if err != nil {
		return fmt.Sprintf("this kernel has no loopback for vsock (modprobe vsock_loopback): %v", err)
	}
	conn.Close()
	return ""
})

func ofVSock(port uint32) socket {
	return socket{
		address: fmt.Sprintf("vsock:%d", port),
		dial: func() (net.Conn, error) {
			fd, err := newVSock()
			if err != nil {
				return nil, err
			}
			err = unix.Connect(fd, &unix.SockaddrVM{CID: vsockLocal, Port: port})
			if errors.Is(err, unix.EINPROGRESS) {
				err = await(fd, unix.POLLOUT, time.Second)
				if n, failed := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && failed == nil && n != 0 {
					err = unix.Errno(n)
				}
			}
			if err != nil {
				unix.Close(fd)
				return nil, err
			}
			return newVSockConn(fd), nil
		},
		listen: func() (net.Listener, error) {
			fd, err := newVSock()
			if err != nil {
				return nil, err
			}
			if err = unix.Bind(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_ANY, Port: port}); err == nil {
				err = unix.Listen(fd, 8)
			}
			if err != nil {
				unix.Close(fd)
				return nil, err
			}
			return &vsockListener{fd: fd}, nil
		},
	}
}

func newVSock() (int, error) {
	return unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
}

// await waits for an event of poll(2).
func await(fd int, event int16, limit time.Duration) error {
	for deadline := time.Now().Add(limit); ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: event}}, int(time.Until(deadline).Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR) && time.Now().Before(deadline):
		case err == nil && n == 0:
			return os.ErrDeadlineExceeded
		default:
			return err
		}
	}
}

// vsockConn is a connection of vsock(7), which the package net does not know.
type vsockConn struct{ *os.File }

func newVSockConn(fd int) net.Conn { return vsockConn{os.NewFile(uintptr(fd), "vsock")} }

func (vsockConn) LocalAddr() net.Addr  { return nil }
func (vsockConn) RemoteAddr() net.Addr { return nil }

// vsockListener is for one goroutine.
type vsockListener struct {
	fd       int
	deadline time.Time
	once     sync.Once
}

func (l *vsockListener) SetDeadline(d time.Time) error {
	l.deadline = d
	return nil
}

func (l *vsockListener) Accept() (net.Conn, error) {
	if err := await(l.fd, unix.POLLIN, time.Until(l.deadline)); err != nil {
		return nil, err
	}
	fd, _, err := unix.Accept4(l.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return newVSockConn(fd), nil
}

func (l *vsockListener) Close() error {
	l.once.Do(func() { unix.Close(l.fd) })
	return nil
}

func (l *vsockListener) Addr() net.Addr { return nil }
