package ends

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"serialhub/internal/testenv"
)

// inTerminal is what a terminal may hold in each direction of what nobody has read: its line discipline 4 KiB, the buffer before it 8 KiB and what
// was on the way into that when it became full.
const inTerminal = 24 << 10

// terminal is either side of a pseudo-terminal.
type terminal struct {
	testenv.Terminal
	depart func() // before it is closed; nil for nothing
}

func (c *terminal) Close() error {
	if c.depart != nil {
		c.depart()
	}
	return c.File.Close()
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
	opened, err := testenv.OpenTerminal(s.path)
	if err != nil {
		t.Fatal(err)
	}
	return &terminal{Terminal: opened}
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
	master, slave := testenv.NewTerminal(t)
	// Before its end is closed, the link goes: the next pseudo-terminal may have the same name, and be another's.
	s.master = &terminal{Terminal: master, depart: func() {
		if s.master != nil && s.master.Terminal == master {
			s.master = nil
			os.Remove(s.path)
		}
	}}
	if err := os.Symlink(slave, s.path); err != nil {
		t.Fatal(err)
	}
}

func (s *deviceSite) arrive(t *testing.T) peer {
	t.Helper()
	s.open(t)
	return s.master
}

func (s *deviceSite) again(_ *testing.T, old peer) peer { return old }

func (s *deviceSite) closed() error { return nil }
