package ends

import (
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// socket is how a test makes connections of one kind.
type socket struct {
	address string // for messages
	dial    func() (net.Conn, error)
	listen  func() (net.Listener, error)     // one with SetDeadline
	greet   func(net.Conn) (net.Conn, error) // what comes after accept; nil for nothing
}

// ofNetwork is a socket as the package net knows it.
func ofNetwork(network, address string) socket {
	return socket{
		address: address,
		dial:    func() (net.Conn, error) { return net.Dial(network, address) },
		listen:  func() (net.Listener, error) { return net.Listen(network, address) },
	}
}

// listenSite is where the hub listens.
type listenSite struct {
	socket
	text string
}

func (s *listenSite) end() string { return s.text }

func (s *listenSite) open(*testing.T) {}

func (s *listenSite) arrive(t *testing.T) peer {
	t.Helper()
	conn, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func (s *listenSite) again(t *testing.T, old peer) peer {
	t.Helper()
	waitClosed(t, "the peer at "+s.address, old)
	old.Close()
	return s.arrive(t)
}

func (s *listenSite) closed() error {
	if conn, err := s.dial(); err == nil {
		conn.Close()
		return fmt.Errorf("somebody accepts connections at %s", s.address)
	}
	return nil
}

// connectSite is where a server of the test listens, which the hub connects to. When its peer leaves, the server goes as well, as a program does
// that ends.
type connectSite struct {
	socket
	text     string
	listener net.Listener // nil while the server is not there
}

func (s *connectSite) end() string { return s.text }

func (s *connectSite) open(t *testing.T) {
	t.Helper()
	if s.listener != nil {
		return
	}
	listener, err := s.listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	s.listener = listener
}

func (s *connectSite) arrive(t *testing.T) peer {
	t.Helper()
	s.open(t)
	return s.accept(t)
}

// accept takes the next connection of the hub.
func (s *connectSite) accept(t *testing.T) peer {
	t.Helper()
	s.listener.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(patience))
	conn, err := s.listener.Accept()
	if err == nil && s.greet != nil {
		conn, err = s.greet(conn)
	}
	if err != nil {
		t.Fatalf("the hub does not connect to %s: %v", s.address, err)
	}
	return &served{Conn: conn, site: s, listener: s.listener}
}

func (s *connectSite) again(t *testing.T, old peer) peer {
	t.Helper()
	waitClosed(t, "the connection to "+s.address, old)
	old.(*served).Conn.Close()
	return s.accept(t)
}

func (s *connectSite) closed() error { return nil }

// served is a peer that the hub has connected to, and its server.
type served struct {
	net.Conn
	site     *connectSite
	listener net.Listener
}

// Close ends the server, and then the connection.
func (s *served) Close() error {
	if s.site.listener == s.listener {
		s.site.listener = nil
	}
	s.listener.Close()
	return s.Conn.Close()
}

func unixListen() kind {
	return kind{name: "unix", make: func(_ *testing.T, dir, name string) site {
		path := filepath.Join(dir, name)
		return &listenSite{ofNetwork("unix", path), fmt.Sprintf("{listen: %q}", "unix:"+path)}
	}}
}

func unixConnect() kind {
	return kind{name: "unixc", fetched: true, file: true, make: func(_ *testing.T, dir, name string) site {
		path := filepath.Join(dir, name)
		return &connectSite{socket: ofNetwork("unix", path), text: fmt.Sprintf("{connect: %q}", "unix:"+path)}
	}}
}
