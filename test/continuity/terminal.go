package continuity

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"serialhub/internal/testenv"
)

// terminal is one side of a pseudo-terminal, as a peer has it.
type terminal struct{ testenv.Terminal }

// openTerminal opens a terminal as a program does.
func openTerminal(path string) (terminal, error) {
	opened, err := testenv.OpenTerminal(path)
	return terminal{opened}, err
}

// plug makes a pseudo-terminal that plays a serial port: it is at path for the hub, and the test has the master, the other side of the cable.
func plug(t *testing.T, path string) terminal {
	t.Helper()
	master, slave := testenv.NewTerminal(t)
	next := path + ".next" // as udev does: the name is never without a port
	if err := os.Symlink(slave, next); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
	return terminal{master}
}

// speed is the speed of the line.
func (t terminal) speed() (baud uint32, err error) {
	err = t.Control(func(fd int) error {
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
	err := t.Control(func(fd int) error {
		polled := []unix.PollFd{{Fd: int32(fd)}}
		_, err := unix.Poll(polled, 0)
		alone = polled[0].Revents&unix.POLLHUP != 0
		return err
	})
	return alone || err != nil
}
