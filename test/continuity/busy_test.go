package continuity

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestBytesDoNotWaitForTheManager lets the manager read nothing, with a full queue, as one does that is busy with other services. Bytes
// flow on, peers come and go, and when it reads again it hears what was to be said.
func TestBytesDoNotWaitForTheManager(t *testing.T) {
	s := newService(t, hubBinary, true, oneLink+"  - {name: other, a: c, b: d}\n")
	s.start()
	_, said := s.manager.awaitNotice(t, 0, "READY=1")
	a, b := s.dial("a"), s.dial("b")
	s.waitState("dbg", "up")
	s.manager.whileBusy(t, func() {
		converse(t, a, b)
		stuck(t, a) // so that there are pipes in use, and others need new ones
		stuck(t, b)
		converse(t, s.dial("c"), s.dial("d"))
	})
	b.Close()
	a.Close()
	a, b = s.dial("a"), s.dial("b")
	s.signal(unix.SIGHUP)
	s.manager.awaitNotice(t, said, "READY=1")
	s.kill()
	s.start()
	converse(t, a, b)
}

// stuck lets a peer write until nobody takes any more.
func stuck(t *testing.T, peer *net.UnixConn) {
	t.Helper()
	peer.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := peer.Write(make([]byte, 16<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
}

// TestStartsUnderABusyManager starts while others have filled the manager's queue: it is heard when the manager reads again.
func TestStartsUnderABusyManager(t *testing.T) {
	s := newService(t, hubBinary, true, oneLink)
	s.manager.whileBusy(t, func() {
		s.start()
		pass(100 * time.Millisecond) // in which it comes to say something
	})
	s.manager.awaitNotice(t, 0, "READY=1")
	converse(t, s.dial("a"), s.dial("b"))
}

// whileBusy does something while the manager does not read, and its queue is full of what others say.
func (m *manager) whileBusy(t *testing.T, act func()) {
	t.Helper()
	m.busy.Lock()
	defer m.busy.Unlock()
	m.fill(t)
	act()
}

// fill says things to the manager until its queue is full.
func (m *manager) fill(t *testing.T) {
	t.Helper()
	from, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(from)
	for err == nil {
		err = unix.Sendmsg(from, []byte("STATUS=of another service"), nil, &unix.SockaddrUnix{Name: m.socket}, 0)
	}
	if !errors.Is(err, unix.EAGAIN) {
		t.Fatal(err)
	}
}
