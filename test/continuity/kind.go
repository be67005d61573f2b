package continuity

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"
)

// kind is a kind of end.
type kind struct {
	name string
	size int64 // of a flow, in times of the usual one: some are slow
	make func(s *service, name string) place
}

// place is an end of some kind, from outside the hub.
type place struct {
	spec   string      // of the end, in the config
	join   func() conn // brings its peer together with the hub, and waits until it is
	listen *server     // where the hub connects to; nil if it does not
}

// The kinds of ends whose peers a hub keeps.
func listeningUnix() kind {
	return kind{name: "unix listen", size: 8, make: func(s *service, name string) place {
		return place{spec: "unix:" + s.path(name), join: func() conn { return s.dial(name) }}
	}}
}

func connectingUnix() kind {
	return kind{name: "unix connect", size: 8, make: func(s *service, name string) place { return connecting(s, "unix", s.path(name)) }}
}

func listeningTCP() kind {
	return kind{name: "tcp listen", size: 10, make: func(s *service, _ string) place {
		address := loopback()
		return place{spec: "tcp:" + address, join: func() conn { return s.dialTCP(address) }}
	}}
}

func connectingTCP() kind {
	return kind{name: "tcp connect", size: 10, make: func(s *service, _ string) place { return connecting(s, "tcp", loopback()) }}
}

func ownTerminal() kind {
	return kind{name: "pty", size: 1, make: func(s *service, name string) place {
		return place{spec: fmt.Sprintf("{pty: %q}", s.path(name)), join: func() conn { return s.openTerminal(name) }}
	}}
}

func serialPort() kind {
	return kind{name: "device", size: 1, make: func(s *service, name string) place {
		master := plug(s.t, s.path(name))
		return place{spec: fmt.Sprintf("{device: %q}", s.path(name)), join: func() conn { return master }}
	}}
}

// pairing is a link of two ends of different kinds.
type pairing [2]kind

func pairings() []pairing {
	return []pairing{
		{connectingUnix(), listeningUnix()},
		{listeningTCP(), listeningUnix()},
		{connectingTCP(), listeningUnix()},
		{ownTerminal(), listeningUnix()},
		{serialPort(), listeningUnix()},
		{listeningTCP(), ownTerminal()},
		{ownTerminal(), serialPort()},
	}
}

func (p pairing) String() string { return p[0].name + " and " + p[1].name }

// make makes the places of a link, and the config's line for it.
func (p pairing) make(s *service, link string) (places [2]place, line string) {
	for side, kind := range p {
		places[side] = kind.make(s, link+"."+string(rune('a'+side)))
	}
	return places, fmt.Sprintf("  - {name: %s, a: %s, b: %s}\n", link, places[0].spec, places[1].spec)
}

// loopback is an address of this machine that nobody else uses, with a port that the kernel gives to nobody.
func loopback() string {
	return fmt.Sprintf("127.%d.%d.%d:4555", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
}

// dialTCP connects a peer, which is closed at the test's end.
func (s *service) dialTCP(address string) *net.TCPConn {
	s.t.Helper()
	peer, err := net.Dial("tcp", address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { peer.Close() })
	return peer.(*net.TCPConn)
}

// openTerminal opens a terminal of the hub's as soon as that is there, as a peer, which is closed at the test's end.
func (s *service) openTerminal(name string) terminal {
	s.t.Helper()
	var peer terminal
	s.until("offering the terminal "+name, func() (err error) {
		peer, err = openTerminal(s.path(name))
		return err
	})
	s.t.Cleanup(func() { peer.Close() })
	return peer
}

// server is a program that the hub connects to.
type server struct {
	t        *testing.T
	listener net.Listener
}

// serve listens at an address until the test's end.
func serve(t *testing.T, network, address string) *server {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return &server{t: t, listener: listener}
}

func connecting(s *service, network, address string) place {
	s.t.Helper()
	listen := serve(s.t, network, address)
	return place{spec: connectTo(network, address), listen: listen, join: func() conn { return listen.accept() }}
}

// connectTo is what the config says of an end that connects.
func connectTo(network, address string) string {
	return fmt.Sprintf("{connect: %q}", network+":"+address)
}

func (l *server) deadline(at time.Time) {
	l.t.Helper()
	if err := l.listener.(interface{ SetDeadline(time.Time) error }).SetDeadline(at); err != nil {
		l.t.Fatal(err)
	}
}

// accept takes the hub's connection.
func (l *server) accept() net.Conn {
	l.t.Helper()
	l.deadline(time.Now().Add(patience))
	peer, err := l.listener.Accept()
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { peer.Close() })
	return peer
}

// noMore is sure that the hub has not connected again.
func (l *server) noMore() {
	l.t.Helper()
	l.deadline(time.Now().Add(time.Millisecond)) // one that is past would not look
	if peer, err := l.listener.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
		l.t.Errorf("the hub has connected again: %v, %v", peer, err)
	}
}
