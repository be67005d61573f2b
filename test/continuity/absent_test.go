package continuity

import (
	"bytes"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestHeldBytesOutliveTheHub sends more than the wire holds to nobody. Whoever comes at last gets all of it.
func TestHeldBytesOutliveTheHub(t *testing.T) {
	const links = "  - {name: dbg, a: a, b: b, absent: hold}\n"
	each(t, interruptions(), links, func(t *testing.T, s *service, cause interruption) {
		all := &stream{from: s.dial("a"), seed: byte(rand.Uint32()), size: 3 << 20}
		s.waitState("dbg", "half")
		sent := make(chan error, 1)
		go func() { sent <- all.send() }()
		for range sized(20, 5) {
			pass(time.Duration(rand.Int64N(int64(20 * time.Millisecond))))
			cause.happen(s)
		}
		all.to = s.dial("b")
		if err := all.receive(); err != nil {
			t.Error(err)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}

// TestBufferedBytesOutliveTheHub sends more than the buffer holds, and then interrupts the hub: the newest are still there.
func TestBufferedBytesOutliveTheHub(t *testing.T) {
	const links = "  - {name: dbg, a: a, b: b, absent: buffer, buffer_size: 100KiB}\n"
	for name, size := range map[string]int64{"less than the buffer": 60 << 10, "more than the buffer": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			each(t, interruptions(), links, func(t *testing.T, s *service, cause interruption) {
				a := s.dial("a")
				s.waitState("dbg", "half")
				all := &stream{from: a, seed: byte(rand.Uint32()), size: size}
				if err := all.send(); err != nil {
					t.Fatal(err)
				}
				s.waitLink("dbg", "read", func(status linkStatus) bool { return status.Ends["a"].ReceivedBytes == size })
				for range sized(10, 3) {
					cause.happen(s)
				}
				checkBuffered(t, s, a, all, min(100<<10, size))
			})
		})
	}
}

// TestBufferFillsWhileTheHubIsInterrupted does so while bytes come: at the end, the newest that were sent are there, without a gap.
func TestBufferFillsWhileTheHubIsInterrupted(t *testing.T) {
	const links = "  - {name: dbg, a: a, b: b, absent: buffer, buffer_size: 1MiB}\n"
	each(t, interruptions(), links, func(t *testing.T, s *service, cause interruption) {
		a := s.dial("a")
		s.waitState("dbg", "half")
		all := &stream{from: a, seed: byte(rand.Uint32()), size: sized[int64](200<<20, 30<<20)}
		sent := make(chan error, 1)
		go func() { sent <- all.send() }()
		for range sized(50, 12) {
			pass(time.Duration(rand.Int64N(int64(15 * time.Millisecond))))
			cause.happen(s)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		s.until("done reading", func() error { left := unread(t, a); return unless(left == 0, "%d bytes are unread", left) })
		checkBuffered(t, s, a, all, 1<<20)
	})
}

// checkBuffered connects a reader, which must get the last so many bytes of what was sent, and then what is said to it.
func checkBuffered(t *testing.T, s *service, sender *net.UnixConn, all *stream, want int64) {
	t.Helper()
	const marker = "and here the present begins, which nobody can have said before"
	reader := s.dial("b")
	s.waitState("dbg", "up")
	say(t, sender, marker)
	var got []byte
	piece := make([]byte, 64<<10)
	for !bytes.HasSuffix(got, []byte(marker)) {
		reader.SetReadDeadline(time.Now().Add(patience))
		n, err := reader.Read(piece)
		if err != nil {
			t.Fatalf("after %d bytes: %v", len(got), err)
		}
		got = append(got, piece[:n]...)
	}
	got = got[:len(got)-len(marker)]
	text := make([]byte, all.size)
	all.bytes().Read(text)
	if !bytes.HasSuffix(text, got) {
		t.Errorf("of %d bytes came %d that are not the last ones", len(text), len(got))
	}
	if int64(len(got)) != want {
		t.Errorf("of %d bytes came the last %d, not %d", len(text), len(got), want)
	}
}

// unread is how much of what a peer has sent is still in the socket.
func unread(t *testing.T, peer *net.UnixConn) (n int) {
	t.Helper()
	raw, err := peer.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if outer := raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }); outer != nil || err != nil {
		t.Fatal(outer, err)
	}
	return n
}
