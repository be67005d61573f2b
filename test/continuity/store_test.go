package continuity

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// spare is how many pipes the hub may have stored beyond those that hold something.
const spare = 16

// TestStoreHoldsOnlyWhatLives lets peers and links come and go, and hubs. In the end no more is stored than at the beginning.
func TestStoreHoldsOnlyWhatLives(t *testing.T) {
	s := newService(t, hubBinary, true, oneLink)
	s.start()
	s.ready()
	b := s.dial("b")
	s.waitState("dbg", "half")
	stored, open := len(s.manager.names()), s.descriptors()
	most := 0
	for i := range 200 {
		a := s.dial("a")
		s.waitState("dbg", "up")
		converse(t, a, b)
		a.Close()
		s.waitState("dbg", "half")
		most = max(most, len(s.manager.names()))
		if i%10 == 0 {
			s.reloadInAndOut(5)
		}
		if i%20 == 0 {
			[]func(*service){(*service).kill, (*service).stop}[i/20%2](s)
			s.start()
			s.ready()
		}
		if i%20 == 10 {
			s.replace()
			s.ready()
		}
	}
	t.Logf("%d descriptors were stored, and at most %d", stored, most)
	s.waitSharers("a", 1)
	s.waitSharers("b", 2)
	s.until("down to what lives", func() error {
		names := s.manager.names()
		return unless(len(names) <= stored+spare, "%d were stored, and now %d: %q", stored, len(names), names)
	})
	s.until("down to what it needs", func() error {
		now := s.descriptors()
		return unless(now <= open+2*spare+4, "%d descriptors were open, and now %d", open, now)
	})
	converse(t, s.dial("a"), b)
}

// reloadInAndOut adds links with peers, and takes them away.
func (s *service) reloadInAndOut(links int) {
	s.t.Helper()
	var text strings.Builder
	text.WriteString(oneLink)
	for i := range links {
		fmt.Fprintf(&text, "  - {name: guest-%d, a: g%d, b: h%[1]d}\n", i, i)
	}
	s.write(text.String())
	s.signal(syscall.SIGHUP)
	last := fmt.Sprintf("guest-%d", links-1)
	s.waitState(last, "waiting")
	s.ready()
	var peers []*net.UnixConn
	for i := range links {
		peers = append(peers, s.dial(fmt.Sprint("g", i)))
	}
	s.waitState(last, "half")
	s.write(oneLink)
	s.signal(syscall.SIGHUP)
	for i, peer := range peers {
		hearEnd(s.t, peer, "")
		s.waitSharers(fmt.Sprint("g", i), 0)
	}
}

// TestClosedMeansClosed closes peers in every way: they see it at once, although a manager has their connections as well.
func TestClosedMeansClosed(t *testing.T) {
	const atOnce = time.Second
	each(t, interruptions(), oneLink, func(t *testing.T, s *service, cause interruption) {
		for _, adopted := range []bool{false, true} {
			for _, way := range []string{"/reset?end=a", "/reset", "/stop"} {
				a, b := s.dial("a"), s.dial("b")
				s.waitState("dbg", "up")
				if adopted {
					cause.happen(s)
					s.ready()
					s.waitState("dbg", "up")
				}
				begin := time.Now()
				s.post("/links/dbg" + way)
				hearEnd(t, a, "")
				if way == "/reset?end=a" {
					s.waitState("dbg", "half")
					b.Close()
				} else {
					hearEnd(t, b, "")
				}
				if took := time.Since(begin); took > atOnce {
					t.Errorf("after %s the peers saw the end after %v", way, took)
				}
				s.post("/links/dbg/start")
				s.waitState("dbg", "waiting")
				s.waitSharers("a", 1)
				s.waitSharers("b", 1)
			}
		}
	})
}

// TestStoppedForGood stops the hub, and the manager drops what it has: that is the end for the peers.
func TestStoppedForGood(t *testing.T) {
	s := newService(t, hubBinary, true, oneLink)
	s.start()
	s.ready()
	a, b := s.dial("a"), s.dial("b")
	s.waitState("dbg", "up")
	s.stop()
	hearNothing(t, a)
	s.manager.discard()
	hearEnd(t, a, "")
	hearEnd(t, b, "")
	s.waitSharers("a", 0)
	s.start()
	s.ready() // over the files that were left
	converse(t, s.dial("a"), s.dial("b"))
}
