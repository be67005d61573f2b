package ends

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inTerminal is what a terminal may hold in each direction of what nobody has read: its line discipline 4 KiB, the buffer before it 8 KiB and what
// was on the way into that when it became full.
const inTerminal = 24 << 10

// terminal is either side of a pseudo-terminal. When the other side is closed, reads give the end of the file.
type terminal struct {
	*os.File
	depart func() // before it is closed; nil for nothing
}

func (c *terminal) Read(p []byte) (int, error) {
	n, err := c.File.Read(p)
	if errors.Is(err, syscall.EIO) {
		err = io.EOF
	}
	return n, err
}

func (c *terminal) Close() error {
	if c.depart != nil {
		c.depart()
	}
	return c.File.Close()
}

// openTerminal opens what has a descriptor that can be polled.
func openTerminal(t *testing.T, path string) *os.File {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func pty() kind {
	return kind{name: "pty", tty: true, stays: true, make: func(_ *testing.T, dir, name string) site {
		return &ptySite{path: filepath.Join(dir, name)}
	}}
}

// ptySite is where the hub makes a pseudo-terminal.
type ptySite struct{ path string }

func (s *ptySite) end() string { return fmt.Sprintf("{pty: %q}", s.path) }

func (s *ptySite) open(*testing.T) {}

func (s *ptySite) arrive(t *testing.T) peer {
	t.Helper()
	return &terminal{File: openTerminal(t, s.path)}
}

func (s *ptySite) again(_ *testing.T, old peer) peer { return old }

func (s *ptySite) closed() error {
	if _, err := os.Lstat(s.path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is still there (%w)", s.path, err)
	}
	return nil
}

func device() kind {
	return kind{
		name: "device", fetched: true, file: true, tty: true, stays: true, forgetful: true, loses: inTerminal,
		make: func(_ *testing.T, dir, name string) site { return &deviceSite{path: filepath.Join(dir, name)} },
	}
}

// deviceSite is where a serial port is plugged in: a link to a pseudo-terminal, whose master is the other end of the cable.
type deviceSite struct {
	path   string
	master *terminal // nil while nothing is plugged in
}

func (s *deviceSite) end() string { return fmt.Sprintf("{device: %q}", s.path) }

func (s *deviceSite) open(t *testing.T) {
	t.Helper()
	if s.master != nil {
		return
	}
	file := openTerminal(t, "/dev/ptmx")
	t.Cleanup(func() { file.Close() })
	slave := unlock(t, file)
	// Before its end is closed, the link goes: the next pseudo-terminal may have the same name, and be another's.
	s.master = &terminal{File: file, depart: func() {
		if s.master != nil && s.master.File == file {
			s.master = nil
			os.Remove(s.path)
		}
	}}
	if err := os.Symlink(slave, s.path); err != nil {
		t.Fatal(err)
	}
}

// unlock lets the slave of a pseudo-terminal be opened, and returns its path.
func unlock(t *testing.T, master *os.File) (slave string) {
	t.Helper()
	raw, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		var n int
		if failed = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); failed == nil {
			n, failed = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
		slave = fmt.Sprintf("/dev/pts/%d", n)
	})
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	return slave
}

func (s *deviceSite) arrive(t *testing.T) peer {
	t.Helper()
	s.open(t)
	return s.master
}

func (s *deviceSite) again(_ *testing.T, old peer) peer { return old }

func (s *deviceSite) closed() error { return nil }
