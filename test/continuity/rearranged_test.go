package continuity

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// changes are the ways in which a hub hears of another config: those of interruptions, and a reload.
func changes() []interruption {
	reload := interruption{name: "reload", replace: true}
	return append(interruptions(), reload)
}

// rewrite replaces the config, and has the hub hear of it.
func (i interruption) rewrite(s *service, links string) {
	s.t.Helper()
	if i.name == "reload" {
		s.write(links)
		s.signal(syscall.SIGHUP)
		return
	}
	i.during(s, func() { s.write(links) })
}

// TestServersAddressChanged has the hub connect elsewhere: the old connection is closed, the peer at the other end stays.
func TestServersAddressChanged(t *testing.T) {
	networks(t, func(t *testing.T, network string, at func(*service) string) {
		eachOf(t, changes(), func(t *testing.T, s *service, cause interruption) {
			before, after := at(s), at(s)
			if network == "unix" {
				after += "-elsewhere"
			}
			server, next := serve(t, network, before), serve(t, network, after)
			s.begin(linkTo(network, before))
			a, b := server.accept(), s.dialOnceOpen("dbg", "b", "b")
			s.waitState("dbg", "up")
			cause.rewrite(s, linkTo(network, after))
			hearEnd(t, a, "")
			a = next.accept()
			s.waitState("dbg", "up")
			converse(t, a, b)
			server.noMore()
			next.noMore()
		})
	})
}

// TestEndConnectsInsteadOfListening turns an end round, and back, at the same address. Its peers are closed, the one at the other end stays.
func TestEndConnectsInsteadOfListening(t *testing.T) {
	networks(t, func(t *testing.T, network string, at func(*service) string) {
		eachOf(t, changes(), func(t *testing.T, s *service, cause interruption) {
			address := at(s)
			listens := fmt.Sprintf("  - {name: dbg, a: {listen: %q}, b: b}\n", network+":"+address)
			s.begin(listens)
			s.ready()
			join := func() conn {
				if network == "tcp" {
					return s.dialTCP(address)
				}
				return s.dialAddress(address)
			}
			a, b := join(), s.dial("b")
			s.waitState("dbg", "up")
			cause.rewrite(s, linkTo(network, address))
			hearEnd(t, a, "")
			a.Close()
			s.waitState("dbg", "retrying")
			server := serve(t, network, address)
			a = server.accept()
			s.waitState("dbg", "up")
			converse(t, a, b)
			server.listener.Close()
			cause.rewrite(s, listens)
			hearEnd(t, a, "")
			a.Close()
			s.waitState("dbg", "half")
			a = join()
			s.waitState("dbg", "up")
			converse(t, a, b)
		})
	})
}

// TestTerminalMoved gives a terminal another path: whoever was at it is hung up, and nothing is left where it was.
func TestTerminalMoved(t *testing.T) {
	eachOf(t, changes(), func(t *testing.T, s *service, cause interruption) {
		s.begin(s.withTerminal())
		a, b := s.openTerminal("tty"), s.dialOnceOpen("dbg", "b", "b")
		s.waitState("dbg", "up")
		cause.rewrite(s, strings.Replace(s.withTerminal(), s.path("tty"), s.path("elsewhere"), 1))
		hearEnd(t, a, "")
		s.waitNoFile("tty")
		s.waitFile("elsewhere")
		s.waitState("dbg", "half")
		next := s.openTerminal("elsewhere")
		s.waitState("dbg", "up")
		converse(t, next, b)
	})
}

// TestPortMoved has the hub open another serial port: it lets go of the old one, and of its lock.
func TestPortMoved(t *testing.T) {
	eachOf(t, changes(), func(t *testing.T, s *service, cause interruption) {
		a, next := plug(t, s.path("ttyS")), plug(t, s.path("elsewhere"))
		s.begin(s.withDevice())
		b := s.dialOnceOpen("dbg", "b", "b")
		s.waitState("dbg", "up")
		wantLock(t, s.path("ttyS"), s.process.pid)
		cause.rewrite(s, strings.Replace(s.withDevice(), s.path("ttyS"), s.path("elsewhere"), 1))
		s.waitOpened(next)
		s.until("away from the old port", func() error { return unless(a.alone(), "it has the port open") })
		waitNoLock(t, s.path("ttyS"))
		s.waitState("dbg", "up")
		wantLock(t, s.path("elsewhere"), s.process.pid)
		converse(t, next, b)
	})
}

// TestSpeedChanged gives a serial port another speed: it stays open, and nothing is lost.
func TestSpeedChanged(t *testing.T) {
	eachOf(t, changes(), func(t *testing.T, s *service, cause interruption) {
		a := plug(t, s.path("ttyS"))
		line := fmt.Sprintf("  - {name: dbg, a: {device: %q, baud: 9600}, b: b}\n", s.path("ttyS"))
		s.begin(line)
		b := s.dialOnceOpen("dbg", "b", "b")
		s.waitState("dbg", "up")
		s.waitSpeed(a, 9600)
		say(t, b, "before, ")
		cause.rewrite(s, strings.Replace(line, "9600", "57600", 1))
		s.waitSpeed(a, 57600)
		say(t, b, "and after")
		hear(t, a, "before, and after")
		converse(t, a, b)
		if status := s.link("dbg"); status.State != "up" || status.Sessions != 1 || status.Ends["a"].Connections != 1 {
			t.Errorf("the link is %+v", status)
		}
		if log := s.log(); strings.Contains(log, "peer left") {
			t.Error("the port has been closed")
		}
	})
}

func (s *service) waitSpeed(far terminal, want uint32) {
	s.t.Helper()
	s.until("at the new speed", func() error {
		speed, err := far.speed()
		if err != nil {
			return err
		}
		return unless(speed == want, "the speed is %d, not %d", speed, want)
	})
}

// TestLinksOfAllKindsRemoved takes links out of the config: everybody at them is hung up, and no file is left.
func TestLinksOfAllKindsRemoved(t *testing.T) {
	eachOf(t, changes(), func(t *testing.T, s *service, cause interruption) {
		address, client, far := loopback(), loopback(), plug(t, s.path("ttyS"))
		server, other := serve(t, "unix", s.path("server")), serve(t, "tcp", client)
		s.begin(oneLink + fmt.Sprintf("  - {name: one, a: {pty: %q}, b: {device: %q}}\n", s.path("tty"), s.path("ttyS")) +
			fmt.Sprintf("  - {name: two, a: %q, b: %s}\n", "tcp:"+address, connectTo("unix", s.path("server"))) +
			fmt.Sprintf("  - {name: three, a: c, b: %s}\n", connectTo("tcp", client)))
		s.ready()
		peers := map[string]conn{
			"terminal": s.openTerminal("tty"), "tcp": s.dialTCP(address), "server": server.accept(), "other server": other.accept(), "unix": s.dial("c"),
		}
		for _, name := range []string{"one", "two", "three"} {
			s.waitState(name, "up")
		}
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		wantLock(t, s.path("ttyS"), s.process.pid)
		cause.rewrite(s, oneLink)
		for _, peer := range peers {
			hearEnd(t, peer, "")
		}
		s.until("away from the port", func() error { return unless(far.alone(), "it has the port open") })
		waitNoLock(t, s.path("ttyS"))
		s.waitNoFile("tty")
		s.waitNoFile("c")
		s.until("deaf at "+address, func() error {
			peer, err := net.Dial("tcp", address)
			if err == nil {
				peer.Close()
			}
			return unless(errors.Is(err, syscall.ECONNREFUSED), "%v", err)
		})
		server.noMore()
		other.noMore()
		converse(t, a, b)
		if s.manager != nil {
			s.until("without the links' descriptors", func() error {
				names := strings.Join(s.manager.names(), " ")
				return unless(!strings.Contains(names, "one") && !strings.Contains(names, "two") && !strings.Contains(names, "three"), "stored is %q", names)
			})
		}
	})
}

// lockOf is the file by which programs tell each other that they use a serial port; see the Filesystem Hierarchy Standard.
func lockOf(t *testing.T, path string) string {
	t.Helper()
	device, err := filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	return "/var/lock/LCK.." + strings.ReplaceAll(strings.TrimPrefix(device, "/dev/"), "/", "_")
}

// wantLock checks that a process has the lock of a serial port.
func wantLock(t *testing.T, path string, pid int) {
	t.Helper()
	eventually(t, "the port is locked", func() error {
		text, err := os.ReadFile(lockOf(t, path))
		if err != nil {
			return err
		}
		return unless(strings.TrimSpace(string(text)) == fmt.Sprint(pid), "the lock is of %q, not of %d", text, pid)
	})
}

func waitNoLock(t *testing.T, path string) {
	t.Helper()
	lock := lockOf(t, path)
	eventually(t, "the port's lock is gone", func() error {
		_, err := os.Lstat(lock)
		return unless(os.IsNotExist(err), "%s: %v", lock, err)
	})
}
