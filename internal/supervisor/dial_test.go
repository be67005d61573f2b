package supervisor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"serialhub/internal/address"
	"serialhub/internal/config"
	"serialhub/internal/relay"
	"serialhub/internal/testenv"
)

// server is a program that listens where the hub connects.
type server struct {
	net.Listener
	t *testing.T
}

// listenAt makes a server in the hub's folder. It is closed with the test, before the hub.
func (h *hub) listenAt(file string) *server {
	h.t.Helper()
	listener, err := net.Listen("unix", filepath.Join(h.dir, file))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { listener.Close() })
	return &server{listener, h.t}
}

// accept takes the next connection of the hub.
func (s *server) accept() net.Conn {
	s.t.Helper()
	s.Listener.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(patience))
	conn, err := s.Accept()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// startDialling runs a hub with one link, dbg, whose end b connects to the file srv in the hub's folder.
func startDialling(t *testing.T, change func(*config.Link)) *hub {
	t.Helper()
	h := startWith(t, func(s *Supervisor) {
		l := s.links[0]
		c := *l.config
		c.B.Address, c.B.Connects = inFolderOf(t, c.A, "srv"), true
		change(&c)
		l.become(&c)
		l.again = newRetry(c.Restart)
		s.configs[l] = &c
	}, "dbg")
	h.wait("dbg", "listening", func(l Link) bool { return l.Disabled || l.Ends[relay.A].State == EndWaiting })
	return h
}

func inFolderOf(t *testing.T, end config.End, file string) address.Address {
	t.Helper()
	addr, err := address.Parse(filepath.Join(filepath.Dir(end.Address.Path()), file), "/")
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// patiently is a policy that a test does not live long enough to see anything tried again under.
func patiently(c *config.Link) {
	c.Restart = config.Restart{Policy: config.Always, Delay: time.Hour, MaxDelay: time.Hour}
}

func TestDialsWhenTheSocketAppears(t *testing.T) {
	h := startDialling(t, patiently)
	l := h.waitState("dbg", LinkRetrying)
	if l.Last == nil || !strings.Contains(l.Last.Message, "srv does not exist") || l.Last.End != "b" || l.Ends[relay.B].Error != l.Last.Message {
		t.Errorf("it failed with %+v, its end b with %s", l.Last, l.Ends[relay.B].Error)
	}
	a, b := h.dial("dbg", relay.A), h.listenAt("srv").accept()
	l = h.waitState("dbg", LinkUp)
	if l.Ends[relay.B].Error != "" {
		t.Errorf("up, its end b says %s", l.Ends[relay.B].Error)
	}
	carry(t, a, b, "hello")
	carry(t, b, a, "and back")
}

// TestFolderAppearsBeforeTheSocket makes the folder of a socket first, and the socket when that has been noticed.
func TestFolderAppearsBeforeTheSocket(t *testing.T) {
	h := startDialling(t, func(c *config.Link) {
		patiently(c)
		c.B.Address = inFolderOf(t, c.A, "run/vm/srv")
	})
	t.Cleanup(func() { os.RemoveAll(filepath.Join(h.dir, "run")) })
	h.waitState("dbg", LinkRetrying)
	for _, folder := range []string{"run", "run/vm"} {
		if err := os.Mkdir(filepath.Join(h.dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
		for range 200 { // each goes through the link's goroutine, as the notice does
			if _, err := h.StartLink(t.Context(), "dbg"); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.listenAt("run/vm/srv").accept()
	h.waitState("dbg", LinkHalf)
}

// TestPeerThatWaitedAndLeft is dialled while the peer of the other end is still being closed, so it has to wait; when it leaves, another is dialled.
func TestPeerThatWaitedAndLeft(t *testing.T) {
	h := startDialling(t, func(c *config.Link) {
		c.OnDisconnect = config.OnDisconnectClose
		c.Restart = config.Restart{Policy: config.Always, Delay: time.Millisecond, MaxDelay: 10 * time.Millisecond}
	})
	srv := h.listenAt("srv")
	a, b := h.dial("dbg", relay.A), srv.accept()
	h.waitState("dbg", LinkUp)
	if _, err := b.Write(make([]byte, 300_000)); err != nil { // more than a's socket takes at once
		t.Fatal(err)
	}
	b.Close()
	queued := func(l Link) bool { return len(l.Ends[relay.B].Queued) == 1 }
	second := srv.accept()
	h.wait("dbg", "waiting for a", queued)
	second.Close()
	third := srv.accept()
	h.wait("dbg", "waiting for a again", queued)
	if n, err := io.Copy(io.Discard, a); n != 300_000 || err != nil {
		t.Errorf("a got %d bytes, %v", n, err)
	}
	a = h.dial("dbg", relay.A)
	h.waitState("dbg", LinkUp)
	carry(t, third, a, "here I am")
}

func TestStoppingIsNoFailure(t *testing.T) {
	h := startDialling(t, func(*config.Link) {})
	h.listenAt("srv").accept()
	before := h.waitState("dbg", LinkHalf)
	after, err := h.StopLink(t.Context(), "dbg")
	if err != nil || after.Failures != before.Failures {
		t.Errorf("%d failures before, %d after, %+v, %v", before.Failures, after.Failures, after.Last, err)
	}
}

// TestUpdateWhileDialled changes something of an end at about the moment in which its peer is there. It is not dialled again.
func TestUpdateWhileDialled(t *testing.T) {
	h := startDialling(t, func(c *config.Link) {
		c.Restart = config.Restart{Policy: config.Never, Delay: time.Second, MaxDelay: time.Second}
		c.Disabled = true
	})
	srv := h.listenAt("srv")
	c := *h.configs[h.links[0]]
	for i := range 50 {
		c.Disabled = false
		for range 3 {
			c.B.KeepAlive++ // which means nothing to a unix socket
			if _, err := h.Apply([]config.Link{c}); err != nil {
				t.Fatal(err)
			}
		}
		conn := srv.accept()
		if l := h.waitState("dbg", LinkHalf); l.Failures > 0 || l.Ends[relay.B].Connections != uint64(i+1) {
			t.Fatalf("the link is %+v", l)
		}
		c.Disabled = true
		if _, err := h.Apply([]config.Link{c}); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
}

// TestReloadDialsAtOnce gives an end another address, while it has a peer.
func TestReloadDialsAtOnce(t *testing.T) {
	h := startDialling(t, patiently)
	first, second := h.listenAt("srv"), h.listenAt("other")
	old := first.accept()
	h.waitState("dbg", LinkHalf)
	c := *h.configs[h.links[0]]
	c.B.Address = inFolderOf(t, c.A, "other")
	if _, err := h.Apply([]config.Link{c}); err != nil {
		t.Fatal(err)
	}
	a, b := h.dial("dbg", relay.A), second.accept()
	h.waitState("dbg", LinkUp)
	carry(t, a, b, "over the new one")
	if _, err := old.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the old one gives %v", err)
	}
}

// TestReconnectsDoNotPileUp holds what a server says that closes at once, again and again.
func TestReconnectsDoNotPileUp(t *testing.T) {
	h := startDialling(t, func(c *config.Link) {
		c.Absent = config.AbsentHold
		c.Restart = config.Restart{Policy: config.Always, Delay: time.Millisecond, MaxDelay: time.Millisecond}
	})
	srv := h.listenAt("srv")
	var before int
	for i := range 60 {
		conn := srv.accept()
		if _, err := conn.Write([]byte("hello\n")); err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if i == 20 {
			before = openDescriptors(t)
		}
	}
	if after := openDescriptors(t); after > before+10 {
		t.Errorf("%d descriptors were open, and %d are", before, after)
	}
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestTalkingPeerGetsEverything closes a TCP peer that goes on talking, and has not read yet what was sent to it.
func TestTalkingPeerGetsEverything(t *testing.T) {
	h := startWith(t, func(s *Supervisor) {
		l := s.links[0]
		c := *l.config
		var err error
		if c.B.Address, err = address.Parse("tcp:127.0.0.1:"+freePort(t), "/"); err != nil {
			t.Fatal(err)
		}
		c.B.KeepAlive = time.Minute
		l.become(&c)
		s.configs[l] = &c
	}, "dbg")
	h.waitState("dbg", LinkWaiting)
	a := h.dial("dbg", relay.A)
	b, err := net.Dial("tcp", strings.TrimPrefix(h.configs[h.links[0]].B.Address.String(), "tcp:"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	b.SetDeadline(time.Now().Add(patience))
	if err := b.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	h.waitState("dbg", LinkUp)
	text := bytes.Repeat([]byte("0123456789"), 6_000)
	if _, err := a.Write(text); err != nil {
		t.Fatal(err)
	}
	h.wait("dbg", "through", func(l Link) bool { return l.Ends[relay.B].Sent == uint64(len(text)) })
	stopped := make(chan error, 1)
	go func() {
		_, err := h.StopLink(context.Background(), "dbg")
		stopped <- err
	}()
	var got []byte
	for buf := make([]byte, 1000); ; {
		b.Write([]byte("x"))
		n, err := b.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			break
		}
	}
	if !bytes.Equal(got, text) {
		t.Errorf("%d of %d bytes arrived", len(got), len(text))
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// TestPortIsOpenAgainAfterReset resets a serial port whose bytes nobody takes yet.
func TestPortIsOpenAgainAfterReset(t *testing.T) {
	master, slave := testenv.NewTerminal(t)
	h := startWith(t, func(s *Supervisor) {
		l := s.links[0]
		c := *l.config
		var err error
		if c.B.Address, err = address.ParseFile(address.Device, slave, "/"); err != nil {
			t.Fatal(err)
		}
		c.B.Serial = config.Serial{Baud: 115200, DataBits: 8, Parity: "none", StopBits: 1, FlowControl: "none"}
		c.Absent = config.AbsentHold
		l.become(&c)
		s.configs[l] = &c
	}, "dbg")
	h.waitState("dbg", LinkHalf)
	a := h.dial("dbg", relay.A)
	h.waitState("dbg", LinkUp)
	size := 0
	for full := false; !full; { // until a takes no more, and the terminal neither
		master.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := master.Write(make([]byte, 4096))
		size += n
		full = errors.Is(err, os.ErrDeadlineExceeded)
		if err != nil && !full {
			t.Fatal(err)
		}
	}
	if _, err := h.Reset(t.Context(), "dbg", relay.B); err != nil {
		t.Fatal(err)
	}
	if n, err := io.CopyN(io.Discard, a, int64(size)); err != nil {
		t.Errorf("%d of %d bytes arrived: %v", n, size, err)
	}
	h.wait("dbg", "up again", func(l Link) bool { return l.State == LinkUp && l.Ends[relay.B].Connections == 2 })
	carry(t, a, master, "to the port")
}

// TestPortsThatOverlap gives an end a port that another gives up in the same reload, under another name.
func TestPortsThatOverlap(t *testing.T) {
	port := freePort(t)
	for name, addresses := range map[string][2]string{
		"all addresses": {"tcp:127.0.0.1:" + port, "tcp::" + port},
		"one address":   {"tcp::" + port, "tcp:127.0.0.1:" + port},
	} {
		t.Run(name, func(t *testing.T) {
			h := startHub(t, "taker", "giver")
			h.waitState("giver", LinkWaiting)
			parse := func(text string) address.Address {
				addr, err := address.Parse(text, "/")
				if err != nil {
					t.Fatal(err)
				}
				return addr
			}
			links := []config.Link{*h.configs[h.links[0]], *h.configs[h.links[1]]}
			spare := links[1].A.Address
			links[1].A.Address, links[1].A.KeepAlive = parse(addresses[0]), time.Minute
			if _, err := h.Apply(links); err != nil {
				t.Fatal(err)
			}
			h.waitState("giver", LinkWaiting)
			links = []config.Link{links[0], links[1]}
			links[0].A.Address, links[0].A.KeepAlive = parse(addresses[1]), time.Minute
			links[0].Restart.Policy = config.Never
			links[1].A.Address = spare
			if _, err := h.Apply(links); err != nil {
				t.Fatal(err)
			}
			if l := h.waitState("taker", LinkWaiting); l.Failures > 0 {
				t.Errorf("it failed before: %+v", l.Last)
			}
		})
	}
}
