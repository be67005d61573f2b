package testenv

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Terminal is one side of a pseudo-terminal, see pty(7). Its reads and writes can have a deadline.
type Terminal struct{ *os.File }

// Read says, as a socket does, that nobody is at the other side any more: by the end of the file.
func (t Terminal) Read(p []byte) (int, error) {
	n, err := t.File.Read(p)
	if errors.Is(err, syscall.EIO) {
		err = io.EOF
	}
	return n, err
}

// Control asks the kernel something about the terminal. (Fd would have it block from then on.)
func (t Terminal) Control(ask func(fd int) error) error {
	raw, err := t.SyscallConn()
	if err != nil {
		return err
	}
	if outer := raw.Control(func(fd uintptr) { err = ask(int(fd)) }); outer != nil {
		return outer
	}
	return err
}

// OpenTerminal opens a terminal as a program does.
func OpenTerminal(path string) (Terminal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	return Terminal{file}, err
}

// NewTerminal makes a pseudo-terminal: the master, which is closed with the test, and the path of its slave, which may be opened. For the hub
// the slave is a serial port without hardware, and then the master is the other side of the cable.
func NewTerminal(t testing.TB) (master Terminal, slave string) {
	t.Helper()
	master, err := OpenTerminal("/dev/ptmx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() }) //nolint:errcheck // the test may have closed it
	number := 0
	err = master.Control(func(fd int) error {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		number, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return master, fmt.Sprintf("/dev/pts/%d", number)
}
