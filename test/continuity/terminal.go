package continuity

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal is one side of a pseudo-terminal, as a peer has it.
type terminal struct{ *os.File }

// Read says, as a socket does, that nobody is at the other side any more: by the end of the file.
func (t terminal) Read(p []byte) (int, error) {
	n, err := t.File.Read(p)
	if errors.Is(err, syscall.EIO) {
		return n, io.EOF
	}
	return n, err
}

// openTerminal opens a terminal as a program does.
func openTerminal(path string) (terminal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	return terminal{file}, err
}

// control asks the kernel something about a terminal.
func (t terminal) control(ask func(fd int) error) error {
	raw, err := t.SyscallConn()
	if err != nil {
		return err
	}
	if outer := raw.Control(func(fd uintptr) { err = ask(int(fd)) }); outer != nil {
		return outer
	}
	return err
}

// plug makes a pseudo-terminal that plays a serial port: it is at path for the hub, and the test has the master, the other side of the cable.
func plug(t *testing.T, path string) terminal {
	t.Helper()
	master, err := openTerminal("/dev/ptmx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	number := 0
	err = master.control(func(fd int) error {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		number, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	next := path + ".next" // as udev does: the name is never without a port
	if err := os.Symlink(fmt.Sprintf("/dev/pts/%d", number), next); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
	return master
}

// speed is the speed of the line.
func (t terminal) speed() (baud uint32, err error) {
	err = t.control(func(fd int) error {
		line, err := unix.IoctlGetTermios(fd, unix.TCGETS2)
		if err == nil {
			baud = line.Ospeed
		}
		return err
	})
	return baud, err
}

// alone tells whether nobody has the other side open.
func (t terminal) alone() (alone bool) {
	err := t.control(func(fd int) error {
		polled := []unix.PollFd{{Fd: int32(fd)}}
		_, err := unix.Poll(polled, 0)
		alone = polled[0].Revents&unix.POLLHUP != 0
		return err
	})
	return alone || err != nil
}
