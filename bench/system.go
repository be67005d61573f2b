package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// connect returns a socket that is connected to a path.
func connect(path string) (int, error) {
	for {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return -1, os.NewSyscallError("socket", err)
		}
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
		if err == nil {
			return fd, nil
		}
		unix.Close(fd)
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ECONNREFUSED) {
			return -1, fmt.Errorf("connect to %s: %w", path, err)
		}
		if err := pause(200 * time.Microsecond); err != nil {
			return -1, err
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

// read is read(2), but for interruptions, and an error at the end.
func read(fd int, data []byte) (int, error) {
	for {
		n, err := rawRead(fd, data)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.ErrUnexpectedEOF
		default:
			return n, nil
		}
	}
}

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

// readFull fills data.
func readFull(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := read(fd, data)
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// write writes all of data.
func write(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := rawWrite(fd, data)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("write", err)
		}
		data = data[n:]
	}
	return nil
}

// now is the time in nanoseconds, on a clock that all processes share.
func now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // Linux has this clock
	}
	return t.Nano()
}
