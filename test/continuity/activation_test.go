package continuity

import (
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// activate makes a listening socket as a socket unit does, and passes it to each of the service's processes.
func (s *service) activate(name, socket string) {
	s.t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: s.path(socket)}); err != nil {
		s.t.Fatal(err)
	}
	if err := unix.Listen(fd, 16); err != nil {
		s.t.Fatal(err)
	}
	s.sockets = append(s.sockets, passed{name: name, fd: fd})
}

func (s *service) wantFiles(names ...string) {
	s.t.Helper()
	for _, name := range names {
		if _, err := os.Lstat(s.path(name)); err != nil {
			s.t.Error(err)
		}
	}
}

// TestActivatedSockets passes sockets to the hub by name, by address and mixed, with peers that have come before it.
func TestActivatedSockets(t *testing.T) {
	units := map[string][2]string{"by name": {"dbg.a", "dbg.b"}, "by address": {"serial.socket", "serial.socket"}, "mixed": {"", "dbg.b"}}
	for name, unit := range units {
		for _, managed := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " managed"}[managed], func(t *testing.T) {
				s := newService(t, hubBinary, managed, oneLink)
				s.activate(unit[0], "a")
				s.activate(unit[1], "b")
				inode := s.inode("a")
				a, b := s.dial("a"), s.dial("b")
				say(t, a, "before the hub")
				s.start()
				hear(t, b, "before the hub")
				s.ready()
				converse(t, a, b)
				s.stop()
				s.wantFiles("a", "b")
				if !managed {
					hearEnd(t, a, "")
					hearEnd(t, b, "")
					a, b = s.dial("a"), s.dial("b")
				}
				s.start()
				converse(t, a, b)
				s.ready()
				if s.inode("a") != inode {
					t.Error("the socket's file is another")
				}
			})
		}
	}
}

// TestActivatedSocketsOutliveTheHub interrupts a hub with such sockets, and removes the link: the files stay, they are the unit's.
func TestActivatedSocketsOutliveTheHub(t *testing.T) {
	for _, cause := range interruptions() {
		t.Run(cause.name, func(t *testing.T) {
			s := newService(t, hubBinary, cause.managed, oneLink)
			s.activate("dbg.a", "a")
			s.start()
			s.ready()
			a, b := s.dial("a"), s.dial("b")
			s.waitState("dbg", "up")
			for range 5 {
				cause.happen(s)
				converse(t, a, b)
			}
			s.ready()
			a.Close()
			s.waitState("dbg", "half")
			s.waitSharers("a", 1)
			s.write("  []\n")
			s.signal(syscall.SIGHUP)
			hearEnd(t, b, "")
			s.waitNoFile("b")
			s.wantFiles("a")
		})
	}
}

// TestActivatedSocketsOfAnyName passes sockets of links whose names are words that the hub may use itself.
func TestActivatedSocketsOfAnyName(t *testing.T) {
	for _, name := range []string{"link", "pipe", "journal", "api", "stored"} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, hubBinary, true, "  - {name: "+name+", a: a, b: b}\n")
			s.activate(name+".a", "a")
			s.activate(name+".b", "b")
			a, b := s.dial("a"), s.dial("b")
			s.start()
			s.ready()
			converse(t, a, b)
			s.kill()
			s.start()
			converse(t, a, b)
		})
	}
}

// TestDescriptorsThatAreNoSockets passes what a unit has got wrong: the hub says so, and makes its own sockets.
func TestDescriptorsThatAreNoSockets(t *testing.T) {
	s := newService(t, hubBinary, true, oneLink)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := memoryFile("no socket")
	t.Cleanup(func() { unix.Close(pair[0]); unix.Close(pair[1]); unix.Close(file) })
	s.sockets = []passed{{"dbg.a", pair[0]}, {"dbg.b", file}, {"unknown", pair[1]}}
	s.start()
	s.ready()
	converse(t, s.dial("a"), s.dial("b"))
}

func (s *service) inode(name string) uint64 {
	s.t.Helper()
	info, err := os.Lstat(s.path(name))
	if err != nil {
		s.t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}
