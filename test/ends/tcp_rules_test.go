package ends

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/relay"
	"serialhub/internal/supervisor"
)

// A peer over TCP that says that it has nothing more to say has gone: there is no other sign of it.
func TestHalfClose(t *testing.T) {
	over(t, overTCP(), func(t *testing.T, p pair) {
		h := startHub(t, p, eager)
		a, b := h.up()
		const n = 100_000
		b.SetDeadline(time.Now().Add(patience))
		heard := make(chan error, 1)
		go func() { heard <- hear(b, newStream(1), n) }()
		if err := say(a, newStream(1), n); err != nil {
			t.Fatal(err)
		}
		conn := a
		if s, is := a.(*served); is {
			conn = s.Conn
		}
		if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		waitClosed(t, "a's peer, which has closed its side,", a)
		if err := <-heard; err != nil {
			t.Errorf("b, of what a said before: %v", err)
		}
		a.Close()
		h.waitState(h.empty(relay.A))
		carry(t, "from a's successor", h.arrive(relay.A), b, "next")
	})
}

func TestConnectionReset(t *testing.T) {
	over(t, overTCP(), func(t *testing.T, p pair) {
		h := startHub(t, p, eager)
		a, b := h.up()
		carry(t, "before the reset", a, b, "one")
		if err := tcpOf(t, a).SetLinger(0); err != nil {
			t.Fatal(err)
		}
		tcpOf(t, a).Close()
		h.waitWithin(noticed, "has noticed that a's peer has left", func(l supervisor.Link) bool { return l.Ends[relay.A].Peer == nil || l.Ends[relay.A].Connections > 1 })
		a.Close()
		h.wait("has nobody at a", func(l supervisor.Link) bool { return l.Ends[relay.A].Peer == nil })
		carry(t, "from a's successor", h.arrive(relay.A), b, "two")
		if l := h.link(); l.Ends[relay.B].Connections != 1 {
			t.Errorf("b should not have noticed: %s", describe(l))
		}
	})
}

// The hub's own sockets send each byte at once, and ask whether an idle peer is alive.
func TestOptionsOfTCP(t *testing.T) {
	over(t, overTCP(), func(t *testing.T, p pair) {
		h := startHub(t, p, eager)
		a := h.arrive(relay.A)
		fd := otherSide(t, tcpOf(t, a))
		for _, option := range []struct {
			name       string
			level, opt int
			least      int
		}{
			{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
			{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		} {
			if value, err := unix.GetsockoptInt(fd, option.level, option.opt); err != nil || value < option.least {
				t.Errorf("%s is %d, %v", option.name, value, err)
			}
		}
	})
}

// otherSide finds the hub's descriptor of a connection. It is the hub's, and is open as long as the peer is there.
func otherSide(t *testing.T, conn *net.TCPConn) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if at, err := unix.Getpeername(fd); err == nil {
			if in, is := at.(*unix.SockaddrInet4); is && fmt.Sprintf("%v:%d", net.IP(in.Addr[:]), in.Port) == conn.LocalAddr().String() {
				return fd
			}
		}
	}
	t.Fatalf("there is no descriptor of the other side of %s", conn.LocalAddr())
	return -1
}
