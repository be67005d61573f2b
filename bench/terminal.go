package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// newTerminal makes a pseudo-terminal, with a link to it at path, and returns its master.
func newTerminal(path string) (*os.File, error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/ptmx: %w", err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = makeRaw(fd)
	}
	if err == nil {
		err = os.Symlink(fmt.Sprint("/dev/pts/", number), path)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("a pseudo-terminal could not be made: %w", err)
	}
	return os.NewFile(uintptr(fd), "/dev/ptmx"), nil
}

// openTerminal opens a terminal as soon as it is there.
func openTerminal(path string) (int, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err == nil {
			return fd, makeRaw(fd)
		}
		if !errors.Is(err, unix.ENOENT) {
			return -1, fmt.Errorf("open %s: %w", path, err)
		}
		if err := pause(200 * time.Microsecond); err != nil {
			return -1, err
		}
	}
}

// makeRaw has a terminal carry bytes as they are.
func makeRaw(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return os.NewSyscallError("ioctl TCGETS", err)
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return os.NewSyscallError("ioctl TCSETS", unix.IoctlSetTermios(fd, unix.TCSETS, t))
}
