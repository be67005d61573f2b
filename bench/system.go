package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// newSocket makes a socket for a place, which is a path, or a host and a port.
func newSocket(place string) (fd int, name unix.Sockaddr, err error) {
	domain := unix.AF_UNIX
	name = &unix.SockaddrUnix{Name: place}
	port, notTCP := netip.ParseAddrPort(place)
	if notTCP == nil {
		domain = unix.AF_INET
		name = &unix.SockaddrInet4{Addr: port.Addr().As4(), Port: int(port.Port())}
	}
	fd, err = unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, nil, os.NewSyscallError("socket", err)
	}
	if notTCP == nil {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil { // those that it accepts have it as well
			unix.Close(fd)
			return -1, nil, os.NewSyscallError("setsockopt TCP_NODELAY", err)
		}
	}
	return fd, name, nil
}

// connect returns a socket that is connected to a place, as soon as somebody listens there.
func connect(place string) (int, error) {
	for {
		fd, name, err := newSocket(place)
		if err != nil {
			return -1, err
		}
		err = unix.Connect(fd, name)
		if err == nil {
			return fd, nil
		}
		unix.Close(fd)
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ECONNREFUSED) {
			return -1, fmt.Errorf("connect to %s: %w", place, err)
		}
		if err := pause(200 * time.Microsecond); err != nil {
			return -1, err
		}
	}
}

// listen returns a socket that listens at a place.
func listen(place string) (*os.File, error) {
	fd, name, err := newSocket(place)
	if err != nil {
		return nil, err
	}
	if err = unix.Bind(fd, name); err == nil {
		err = unix.Listen(fd, 1)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("listen at %s: %w", place, err)
	}
	return os.NewFile(uintptr(fd), place), nil
}

// accept waits for who connects to a socket that listens, which it closes: nobody else will come.
func accept(listening int) (int, error) {
	defer unix.Close(listening)
	for {
		fd, _, err := unix.Accept4(listening, unix.SOCK_CLOEXEC)
		if !errors.Is(err, unix.EINTR) {
			return fd, os.NewSyscallError("accept", err)
		}
	}
}

// pause lets some time pass; unlike Go's timers, it does so to the microsecond.
func pause(d time.Duration) error {
	timeout := unix.NsecToTimespec(d.Nanoseconds())
	if _, err := unix.Ppoll(nil, &timeout, nil); err != nil && !errors.Is(err, unix.EINTR) {
		return os.NewSyscallError("ppoll", err)
	}
	return nil
}

// descriptor is one that blocks.
type descriptor int

// Read is read(2), but for interruptions.
func (d descriptor) Read(data []byte) (int, error) {
	for {
		n, err := rawRead(int(d), data)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// Write writes all of data.
func (d descriptor) Write(data []byte) (written int, err error) {
	for written < len(data) {
		n, err := rawWrite(int(d), data[written:])
		if err != nil && !errors.Is(err, unix.EINTR) {
			return written, os.NewSyscallError("write", err)
		}
		written += n
	}
	return written, nil
}

// Close closes it.
func (d descriptor) Close() error { return os.NewSyscallError("close", unix.Close(int(d))) }

// rawRead is read(2), without a word to Go's scheduler, as rawWrite is write(2): that would be half of the cost of a small
// message. The price is that a call that blocks keeps a processor of the scheduler, see GOMAXPROCS.
func rawRead(fd int, data []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(data))), uintptr(len(data)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func rawWrite(fd int, data []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(data))), uintptr(len(data)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// now is the time in nanoseconds, on a clock that all processes share.
func now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // Linux has this clock
	}
	return t.Nano()
}
