package ends

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/relay"
	"serialhub/internal/supervisor"
)

const (
	// aliveWithin is what keepalive says in these tests, and late how much longer it may take to find a dead peer on a busy machine.
	aliveWithin = 2 * time.Second
	late        = 2 * time.Second
	// lunchTime is for how long a peer reads nothing. The kernel asks it whether it has room again after 0.2 s, 0.6, 1.4, 3.0 and 6.2; and, if nobody tells
	// it to ask more often, after 12.6, which is too late for one that dies now.
	lunchTime = 7 * time.Second
)

// overTCP are a's kinds that go over TCP, and have a peer that is dead found soon.
func overTCP() (list []pair) {
	for _, a := range kinds() {
		if a.tcp {
			list = append(list, pair{a.with(fmt.Sprintf("keepalive: %v", aliveWithin)), unixListen()})
		}
	}
	return list
}

// tcpOf is the TCP connection below a peer.
func tcpOf(t *testing.T, p peer) *net.TCPConn {
	t.Helper()
	for {
		switch below := p.(type) {
		case *served:
			p = below.Conn
		case *tls.Conn:
			p = below.NetConn()
		case *net.TCPConn:
			return below
		default:
			t.Fatalf("%T is not over TCP", p)
		}
	}
}

// die has a peer hear nothing any more, and so answer nothing: the kernel drops all that comes for it.
func die(t *testing.T, p peer) {
	t.Helper()
	raw, err := tcpOf(t, p).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	// Or it would say again and again what it has not heard to have arrived, and so be alive.
	unheard := uint32(1)
	var failed error
	until(t, patience, "everything that the peer has sent has arrived", func() bool {
		err := raw.Control(func(fd uintptr) {
			var info *unix.TCPInfo
			if info, failed = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); failed == nil {
				unheard = info.Unacked
			}
		})
		return err != nil || failed != nil || unheard == 0
	}, func() string { return fmt.Sprintf("%d segments have not", unheard) })
	err = raw.Control(func(fd uintptr) {
		drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
		failed = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop[0]})
	})
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
}

// found waits until the hub has found out that a's peer is dead, in time.
func (h *hub) found() {
	h.t.Helper()
	start := time.Now()
	h.wait("has nobody at a, or another", func(l supervisor.Link) bool { return l.Ends[relay.A].Peer == nil || l.Ends[relay.A].Connections > 1 })
	if took := time.Since(start); took > aliveWithin+late {
		h.t.Errorf("a dead peer was found after %v only; keepalive is %v", took, aliveWithin)
	}
	if l := h.link(); l.Ends[relay.B].Connections != 1 || l.Ends[relay.B].Peer == nil {
		h.t.Errorf("b should not have noticed: %s", describe(l))
	}
}

// A peer that is dead is found in time, whatever it was doing; and one that is alive is never taken for dead.
func TestDeadPeers(t *testing.T) {
	allOver(t, overTCP(), body{"idle", deadWhileIdle}, body{"spoken to", deadWhileSpokenTo}, body{"reads nothing", readsNothing}, body{"read nothing", deadAfterReadingNothing})
}

func deadWhileIdle(t *testing.T, p pair) {
	h := startHub(t, p, eager)
	a, _ := h.up()
	die(t, a)
	h.found()
}

func deadWhileSpokenTo(t *testing.T, p pair) {
	h := startHub(t, p, eager)
	a, b := h.up()
	carry(t, "while it lives", b, a, "are you there?")
	die(t, a)
	if _, err := fmt.Fprint(b, "are you still there?"); err != nil {
		t.Fatal(err)
	}
	h.found()
}

// A peer that reads nothing is alive as long as its kernel says that it has no room: the user of a debugger may be at lunch.
func readsNothing(t *testing.T, p pair) {
	h := startHub(t, p, eager)
	a, b := h.up()
	talker := lunch(t, h, b)
	talker.finish.Store(true)
	a.SetDeadline(time.Now().Add(patience))
	if err := hear(a, newStream(1), int(talker.said.Load())); err != nil {
		t.Fatalf("when it reads again: %v", err)
	}
}

// Whoever dies at lunch is found as well, if the kernel can be told to ask more often (TCP_RTO_MAX_MS, Linux 6.15).
func deadAfterReadingNothing(t *testing.T, p pair) {
	h := startHub(t, p, eager)
	a, b := h.up()
	if _, err := unix.GetsockoptInt(otherSide(t, tcpOf(t, a)), unix.IPPROTO_TCP, unix.TCP_RTO_MAX_MS); errors.Is(err, unix.ENOPROTOOPT) {
		t.Skipf("this kernel asks a peer that has no room more and more seldom, up to every 2 minutes: %v", err)
	}
	talker := lunch(t, h, b)
	die(t, a)
	h.found()
	talker.finish.Store(true)
}

// lunch is a time in which a reads nothing while b talks to it, much longer than a dead peer may be there. a has to stay.
func lunch(t *testing.T, h *hub, b peer) *talker {
	t.Helper()
	talker := talk(b, newStream(1))
	t.Cleanup(func() {
		talker.finish.Store(true)
		b.Close()
		<-talker.done
	})
	if said, err := talker.waitStuck(takenAtMost); err != nil {
		t.Fatalf("b has said %d bytes to one who does not read: %v", said, err)
	}
	end := time.After(lunchTime)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if l := h.link(); l.Ends[relay.A].State != supervisor.EndConnected || l.Ends[relay.A].Connections != 1 {
			t.Fatalf("a peer that is alive and reads nothing was closed: %s", describe(l))
		}
		select {
		case <-end:
			return talker
		case <-tick.C:
		}
	}
}
