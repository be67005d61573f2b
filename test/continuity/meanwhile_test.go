package continuity

import (
	"fmt"
	"os"
	"testing"
)

// eachOf runs a test for each interruption, with a service that is made, and not started.
func eachOf(t *testing.T, all []interruption, test func(*testing.T, *service, interruption)) {
	for _, one := range all {
		t.Run(one.name, func(t *testing.T) { test(t, newService(t, hubBinary, one.managed, "  []\n"), one) })
	}
}

// begin starts the hub on links, and waits until it answers.
func (s *service) begin(links string) {
	s.t.Helper()
	s.write(links)
	s.start()
	s.status()
}

// dialOnceOpen connects a peer to an end of a hub that has just begun, and waits until the hub has it.
func (s *service) dialOnceOpen(link, end, socket string) conn {
	s.t.Helper()
	s.waitLink(link, "open at end "+end, func(status linkStatus) bool {
		return status.Ends[end].State == "waiting"
	})
	peer := s.dial(socket)
	s.waitLink(link, "with a peer at end "+end, func(status linkStatus) bool { return status.Ends[end].State == "connected" })
	return peer
}

// networks are where the hub can connect to on any machine, each with an address that nobody listens at.
func networks(t *testing.T, test func(t *testing.T, network string, address func(*service) string)) {
	t.Run("unix", func(t *testing.T) { test(t, "unix", func(s *service) string { return s.path("server") }) })
	t.Run("tcp", func(t *testing.T) { test(t, "tcp", func(*service) string { return loopback() }) })
}

// linkTo is a link whose end a connects to an address.
func linkTo(network, address string) string {
	return fmt.Sprintf("  - {name: dbg, a: %s, b: b}\n", connectTo(network, address))
}

// TestServerComesMeanwhile interrupts a hub that connects to nobody yet. Whichever process finds the server connects once.
func TestServerComesMeanwhile(t *testing.T) {
	networks(t, func(t *testing.T, network string, at func(*service) string) {
		eachOf(t, interruptions(), func(t *testing.T, s *service, cause interruption) {
			address := at(s)
			s.begin(linkTo(network, address))
			s.waitState("dbg", "retrying")
			b := s.dialOnceOpen("dbg", "b", "b")
			var server *server
			cause.during(s, func() { server = serve(t, network, address) })
			a := server.accept()
			s.waitState("dbg", "up")
			converse(t, a, b)
			server.noMore()
		})
	})
}

// TestNoServerYet interrupts a hub that connects to nobody yet: the next one goes on trying.
func TestNoServerYet(t *testing.T) {
	networks(t, func(t *testing.T, network string, at func(*service) string) {
		eachOf(t, interruptions(), func(t *testing.T, s *service, cause interruption) {
			address := at(s)
			s.begin(linkTo(network, address))
			s.waitState("dbg", "retrying")
			b := s.dialOnceOpen("dbg", "b", "b")
			cause.happen(s)
			s.waitState("dbg", "retrying")
			server := serve(t, network, address)
			a := server.accept()
			s.waitState("dbg", "up")
			converse(t, a, b)
			server.noMore()
		})
	})
}

// TestServerLeavesMeanwhile has the hub's peer say its last words and close: they arrive, and the hub connects again.
func TestServerLeavesMeanwhile(t *testing.T) {
	networks(t, func(t *testing.T, network string, at func(*service) string) {
		eachOf(t, interruptions(), func(t *testing.T, s *service, cause interruption) {
			address := at(s)
			server := serve(t, network, address)
			s.begin(linkTo(network, address))
			a, b := server.accept(), s.dialOnceOpen("dbg", "b", "b")
			s.waitState("dbg", "up")
			cause.during(s, func() {
				say(t, a, "last words")
				a.Close()
			})
			hear(t, b, "last words")
			next := server.accept()
			s.waitState("dbg", "up")
			converse(t, next, b)
			server.noMore()
		})
	})
}

// TestServerStartsAgainMeanwhile has another program take the place of the one that the hub is connected to.
func TestServerStartsAgainMeanwhile(t *testing.T) {
	networks(t, func(t *testing.T, network string, at func(*service) string) {
		eachOf(t, interruptions(), func(t *testing.T, s *service, cause interruption) {
			address := at(s)
			server := serve(t, network, address)
			s.begin(linkTo(network, address))
			a, b := server.accept(), s.dialOnceOpen("dbg", "b", "b")
			s.waitState("dbg", "up")
			cause.during(s, func() {
				server.listener.Close()
				a.Close()
				server = serve(t, network, address)
			})
			next := server.accept()
			s.waitState("dbg", "up")
			converse(t, next, b)
			server.noMore()
		})
	})
}

// TestClientComesMeanwhile connects to a port of the hub while there is no hub, and speaks.
func TestClientComesMeanwhile(t *testing.T) {
	eachOf(t, interruptions(), func(t *testing.T, s *service, cause interruption) {
		address := loopback()
		s.begin(fmt.Sprintf("  - {name: dbg, a: %q, b: b}\n", "tcp:"+address))
		s.ready()
		b := s.dial("b")
		s.waitState("dbg", "half")
		cause.during(s, func() { say(t, s.dialTCP(address), "an early word") })
		hear(t, b, "an early word")
		s.waitState("dbg", "up")
	})
}

// TestClientLeavesMeanwhile has a peer on a port of the hub say its last words, and the next one come.
func TestClientLeavesMeanwhile(t *testing.T) {
	eachOf(t, interruptions(), func(t *testing.T, s *service, cause interruption) {
		address := loopback()
		s.begin(fmt.Sprintf("  - {name: dbg, a: %q, b: b}\n", "tcp:"+address))
		s.ready()
		a, b := s.dialTCP(address), s.dial("b")
		s.waitState("dbg", "up")
		cause.during(s, func() {
			say(t, a, "of the first, ")
			a.Close()
			if cause.replace {
				s.waitState("dbg", "half") // a second peer would be turned away
			}
			say(t, s.dialTCP(address), "of the second")
		})
		hear(t, b, "of the first, of the second")
	})
}

// withTerminal is a link with a terminal.
func (s *service) withTerminal() string {
	return fmt.Sprintf("  - {name: dbg, a: {pty: %q}, b: b}\n", s.path("tty"))
}

// TestTerminalOpenedMeanwhile has a program open a terminal of the hub while there is no hub, and speak.
func TestTerminalOpenedMeanwhile(t *testing.T) {
	eachOf(t, interruptions(), func(t *testing.T, s *service, cause interruption) {
		s.begin(s.withTerminal())
		s.ready()
		b := s.dial("b")
		s.waitState("dbg", "half")
		var a terminal
		cause.during(s, func() {
			a = s.terminalNow("tty")
			say(t, a, "an early word")
		})
		hear(t, b, "an early word")
		s.waitState("dbg", "up")
		converse(t, a, b)
	})
}

// terminalNow opens a terminal of the hub's without asking the hub.
func (s *service) terminalNow(name string) terminal {
	s.t.Helper()
	peer, err := openTerminal(s.path(name))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { peer.Close() })
	return peer
}

// TestTerminalLeftMeanwhile has whoever is at a terminal say its last words and leave: they arrive, and the next one can come.
func TestTerminalLeftMeanwhile(t *testing.T) {
	eachOf(t, interruptions(), func(t *testing.T, s *service, cause interruption) {
		s.begin(s.withTerminal())
		a, b := s.openTerminal("tty"), s.dialOnceOpen("dbg", "b", "b")
		s.waitState("dbg", "up")
		cause.during(s, func() {
			say(t, a, "last words")
			a.Close()
		})
		hear(t, b, "last words")
		s.waitState("dbg", "half")
		next := s.terminalNow("tty")
		s.waitState("dbg", "up")
		converse(t, next, b)
	})
}

// TestTerminalChangesHandsMeanwhile has the next one come as well: what they say arrives in order.
func TestTerminalChangesHandsMeanwhile(t *testing.T) {
	eachOf(t, interruptions(), func(t *testing.T, s *service, cause interruption) {
		s.begin(s.withTerminal())
		a, b := s.openTerminal("tty"), s.dialOnceOpen("dbg", "b", "b")
		s.waitState("dbg", "up")
		var next terminal
		cause.during(s, func() {
			say(t, a, "of the first, ")
			a.Close()
			next = s.terminalNow("tty")
			say(t, next, "of the second")
		})
		hear(t, b, "of the first, of the second")
		s.waitState("dbg", "up")
		converse(t, next, b)
	})
}

// TestTerminalReaderLeavesMeanwhile has whoever is at a terminal leave without having read: the next one gets nothing of that.
func TestTerminalReaderLeavesMeanwhile(t *testing.T) {
	eachOf(t, interruptions(), func(t *testing.T, s *service, cause interruption) {
		s.begin(s.withTerminal())
		a, b := s.openTerminal("tty"), s.dialOnceOpen("dbg", "b", "b")
		s.waitState("dbg", "up")
		say(t, b, "not read, ")
		s.waitLink("dbg", "with the words delivered", func(status linkStatus) bool { return status.Ends["a"].SentBytes > 0 })
		cause.during(s, func() {
			a.Close()
			say(t, b, "said to nobody")
		})
		s.waitLink("dbg", "half, with the words dropped", func(status linkStatus) bool {
			return status.State == "half" && status.Ends["b"].DiscardedBytes == int64(len("said to nobody"))
		})
		next := s.terminalNow("tty")
		s.waitState("dbg", "up")
		converse(t, next, b)
	})
}

// TestTerminalLinkDeletedMeanwhile deletes the link to a terminal: it is made again, and leads to the same.
func TestTerminalLinkDeletedMeanwhile(t *testing.T) {
	eachOf(t, interruptions(), func(t *testing.T, s *service, cause interruption) {
		s.begin(s.withTerminal())
		a, b := s.openTerminal("tty"), s.dialOnceOpen("dbg", "b", "b")
		s.waitState("dbg", "up")
		was, err := os.Readlink(s.path("tty"))
		if err != nil {
			t.Fatal(err)
		}
		cause.during(s, func() {
			if err := os.Remove(s.path("tty")); err != nil {
				t.Error(err)
			}
		})
		s.waitFile("tty")
		if now, err := os.Readlink(s.path("tty")); err != nil || now != was {
			t.Errorf("the terminal was %s and is %s, %v", was, now, err)
		}
		s.waitState("dbg", "up")
		converse(t, a, b)
	})
}

// withDevice is a link with a serial port.
func (s *service) withDevice() string {
	return fmt.Sprintf("  - {name: dbg, a: {device: %q}, b: b}\n", s.path("ttyS"))
}

// TestDeviceUnpluggedMeanwhile unplugs a serial port, and plugs in another: the next hub opens that, and the peer at the other end stays.
func TestDeviceUnpluggedMeanwhile(t *testing.T) {
	eachOf(t, interruptions(), func(t *testing.T, s *service, cause interruption) {
		a := plug(t, s.path("ttyS"))
		s.begin(s.withDevice())
		b := s.dialOnceOpen("dbg", "b", "b")
		s.waitState("dbg", "up")
		converse(t, a, b)
		var next terminal
		cause.during(s, func() {
			a.Close()
			next = plug(t, s.path("ttyS"))
		})
		s.waitOpened(next)
		s.waitState("dbg", "up")
		converse(t, next, b)
	})
}

// TestDevicePulledMeanwhile unplugs a serial port, and plugs one in later.
func TestDevicePulledMeanwhile(t *testing.T) {
	eachOf(t, interruptions(), func(t *testing.T, s *service, cause interruption) {
		a := plug(t, s.path("ttyS"))
		s.begin(s.withDevice())
		b := s.dialOnceOpen("dbg", "b", "b")
		s.waitState("dbg", "up")
		converse(t, a, b)
		cause.during(s, func() {
			a.Close()
			os.Remove(s.path("ttyS"))
		})
		s.waitState("dbg", "retrying")
		next := plug(t, s.path("ttyS"))
		s.waitState("dbg", "up")
		converse(t, next, b)
	})
}

// TestDevicePluggedInMeanwhile interrupts a hub whose serial port is not there yet.
func TestDevicePluggedInMeanwhile(t *testing.T) {
	eachOf(t, interruptions(), func(t *testing.T, s *service, cause interruption) {
		s.begin(s.withDevice())
		b := s.dialOnceOpen("dbg", "b", "b")
		s.waitState("dbg", "retrying")
		var a terminal
		cause.during(s, func() { a = plug(t, s.path("ttyS")) })
		s.waitState("dbg", "up")
		converse(t, a, b)
	})
}

// TestDeviceSpeaksMeanwhile lets the other side of the cable speak while there is no hub.
func TestDeviceSpeaksMeanwhile(t *testing.T) {
	eachOf(t, interruptions(), func(t *testing.T, s *service, cause interruption) {
		a := plug(t, s.path("ttyS"))
		s.begin(s.withDevice())
		b := s.dialOnceOpen("dbg", "b", "b")
		s.waitState("dbg", "up")
		cause.during(s, func() { say(t, a, "meanwhile") })
		hear(t, b, "meanwhile")
		converse(t, a, b)
	})
}

// waitOpened waits until the hub has opened the port at the other side of the cable.
func (s *service) waitOpened(far terminal) {
	s.t.Helper()
	s.until("at the serial port", func() error { return unless(!far.alone(), "nobody has the port open") })
}
