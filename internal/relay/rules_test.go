package relay_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/endpoint"
	"serialhub/internal/relay"
)

func TestHeldBytesReachTheNextPeer(t *testing.T) {
	for _, size := range []int{10, 100_000, 1 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			b := newBenchWith(t, relay.Rules{Absent: relay.Hold})
			a := b.connect(relay.A)
			data := random(size)
			sent := make(chan error, 1)
			go func() {
				_, err := a.Write(data)
				sent <- err
			}()
			b.eventually("the wire has taken what it takes", func() bool { return b.counters[relay.A].Received.Load() >= uint64(min(size, 32<<10)) })
			if held := b.counters[relay.A].Received.Load(); held > 768<<10 {
				t.Errorf("the link has read %d bytes that nobody takes", held)
			}
			next := b.connect(relay.B)
			got := make([]byte, size)
			if n, err := io.ReadFull(next, got); err != nil || !bytes.Equal(got, data) {
				t.Fatalf("%d of %d bytes arrived: %v", n, size, err)
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			carry(t, a, next, []byte("and on"))
			if n := b.counters[relay.A].Discarded.Load(); n != 0 {
				t.Errorf("%d bytes were dropped", n)
			}
		})
	}
}

// TestHeldBackSenderMayLeave fills the wire while nobody is there, and hangs up. That is noticed, and the next peer of
// the other end gets the last words, and then those of the successor.
func TestHeldBackSenderMayLeave(t *testing.T) {
	b := newBenchWith(t, relay.Rules{Absent: relay.Hold})
	a := b.connect(relay.A)
	data := random(4 << 20)
	want := data[:fill(t, a, data)]
	b.disconnect(relay.A, a)
	successor := b.connect(relay.A)
	if _, err := successor.Write([]byte("successor")); err != nil {
		t.Fatal(err)
	}
	reader := b.connect(relay.B)
	want = append(want[:len(want):len(want)], "successor"...)
	got := make([]byte, len(want))
	if n, err := io.ReadFull(reader, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d of %d bytes arrived: %v", n, len(want), err)
	}
}

// TestHeldBytesAfterAReaderLeft keeps what a reader had not taken, and what was behind it, for the next one.
func TestHeldBytesAfterAReaderLeft(t *testing.T) {
	b := newBenchWith(t, relay.Rules{Absent: relay.Hold})
	a, lazy := b.connect(relay.A), b.connect(relay.B)
	data := random(4 << 20)
	filled := fill(t, a, data)
	b.disconnect(relay.B, lazy)
	lost := int(b.counters[relay.B].Sent.Load()) // they are in the socket of the one that left
	next := b.connect(relay.B)
	got := make([]byte, filled-lost)
	if n, err := io.ReadFull(next, got); err != nil || !bytes.Equal(got, data[lost:filled]) {
		t.Fatalf("%d of %d bytes arrived: %v", n, len(got), err)
	}
	carry(t, a, next, data[filled:])
}

// TestBufferKeepsTheNewestBytes sends in pieces of many sizes, which the pipe stores in pages.
func TestBufferKeepsTheNewestBytes(t *testing.T) {
	for _, test := range []struct{ size, total, piece int }{
		{1, 100, 1},
		{1000, 999, 7},
		{1000, 1000, 1000},
		{1000, 5000, 13},
		{4096, 100_000, 2049},
		{64 << 10, 1 << 20, 3000},
		{64 << 10, 300_000, 1},
		{100_000, 1 << 20, 64 << 10},
		{1 << 20, 3 << 20, 5001},
	} {
		t.Run(fmt.Sprintf("%d of %d in pieces of %d", test.size, test.total, test.piece), func(t *testing.T) {
			b := newBenchWith(t, relay.Rules{Absent: relay.Buffer, BufferSize: test.size})
			a := b.connect(relay.A)
			data := random(test.total)
			for rest := data; len(rest) > 0; {
				n, err := a.Write(rest[:min(test.piece, len(rest))])
				if err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			counters := &b.counters[relay.A]
			b.eventually("all is read", func() bool { return counters.Received.Load() == uint64(test.total) })
			kept := min(test.size, test.total)
			b.eventually("the oldest are dropped", func() bool { return counters.Discarded.Load() == uint64(test.total-kept) })
			next := b.connect(relay.B)
			got := make([]byte, kept)
			if n, err := io.ReadFull(next, got); err != nil || !bytes.Equal(got, data[test.total-kept:]) {
				t.Fatalf("%d of %d bytes arrived: %v", n, kept, err)
			}
			carry(t, a, next, []byte("and on"))
		})
	}
}

// TestBufferAfterASlowReader has small messages in the pipe, one to a page, when the reader leaves.
func TestBufferAfterASlowReader(t *testing.T) {
	const size = 20_000
	b := newBenchWith(t, relay.Rules{Absent: relay.Buffer, BufferSize: size})
	a, lazy := b.connect(relay.A), b.connect(relay.B)
	data := random(4 << 20)
	filled := fill(t, a, data)
	for range 100 {
		if _, err := unixWrite(a, data[filled:filled+1]); err != nil {
			break
		}
		filled++
	}
	b.disconnect(relay.B, lazy)
	b.eventually("all is read", func() bool { return b.counters[relay.A].Received.Load() == uint64(filled) })
	next := b.connect(relay.B)
	got := make([]byte, size)
	if n, err := io.ReadFull(next, got); err != nil || !bytes.Equal(got, data[filled-size:filled]) {
		t.Fatalf("%d of %d bytes arrived: %v", n, size, err)
	}
	carry(t, a, next, []byte("and on"))
}

// unixWrite writes without waiting.
func unixWrite(conn *net.UnixConn, data []byte) (n int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	if controlErr := raw.Control(func(fd uintptr) { n, err = unix.Write(int(fd), data) }); controlErr != nil {
		return 0, controlErr
	}
	return n, err
}

func TestReplace(t *testing.T) {
	b := newBenchWith(t, relay.Rules{Ends: [2]relay.EndRules{{Busy: relay.Replace}, {}}})
	first, other := b.connect(relay.A), b.connect(relay.B)
	carry(t, first, other, []byte("first"))
	for i := range 5 {
		newest := b.dial(relay.A)
		if event := b.expect(relay.Left, relay.A); !errors.Is(event.Err, relay.ErrReplaced) {
			t.Errorf("the first left with %v", event.Err)
		}
		b.expect(relay.Arrived, relay.A)
		b.link.Seen(relay.A)
		if _, err := first.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the first read %v, want EOF", err)
		}
		carry(t, newest, other, []byte{byte(i)})
		carry(t, other, newest, []byte("answer"))
		first = newest
	}
}

func TestQueue(t *testing.T) {
	b := newBenchWith(t, relay.Rules{Ends: [2]relay.EndRules{{Busy: relay.Queue}, {}}})
	first, other := b.connect(relay.A), b.connect(relay.B)
	queue := func() (*net.UnixConn, uint64) {
		conn := b.dial(relay.A)
		event := b.expect(relay.Queued, relay.A)
		if event.Peer.PID != os.Getpid() {
			t.Errorf("pid %d waits, want this process", event.Peer.PID)
		}
		b.link.Seen(relay.A)
		return conn, event.ID
	}
	second, secondID := queue()
	if _, err := second.Write([]byte("early")); err != nil {
		t.Fatal(err)
	}
	impatient, impatientID := queue()
	third, thirdID := queue()
	carry(t, first, other, []byte("undisturbed"))

	impatient.Close()
	if event := b.expect(relay.Dequeued, relay.A); event.ID != impatientID {
		t.Errorf("peer %d left the queue, want %d", event.ID, impatientID)
	}
	b.disconnect(relay.A, first)
	if event := b.expect(relay.Arrived, relay.A); event.ID != secondID {
		t.Errorf("peer %d has the end, want %d", event.ID, secondID)
	}
	b.link.Seen(relay.A)
	early := make([]byte, 5)
	if _, err := io.ReadFull(other, early); err != nil || string(early) != "early" {
		t.Errorf("got %q, %v", early, err)
	}
	b.disconnect(relay.A, second)
	if event := b.expect(relay.Arrived, relay.A); event.ID != thirdID {
		t.Errorf("peer %d has the end, want %d", event.ID, thirdID)
	}
	b.link.Seen(relay.A)
	carry(t, other, third, []byte("hello"))
}

func TestQueueIsBounded(t *testing.T) {
	b := newBenchWith(t, relay.Rules{Ends: [2]relay.EndRules{{Busy: relay.Queue}, {}}})
	b.connect(relay.A)
	for range 16 {
		b.dial(relay.A)
		b.expect(relay.Queued, relay.A)
		b.link.Seen(relay.A)
	}
	b.dial(relay.A)
	if event := b.expect(relay.Rejected, relay.A); !errors.Is(event.Err, relay.ErrBusy) {
		t.Errorf("turned away with %v", event.Err)
	}
}

func TestAllowUIDs(t *testing.T) {
	b := newBenchWith(t, relay.Rules{Ends: [2]relay.EndRules{{AllowUIDs: []int{os.Getuid() + 1}}, {AllowUIDs: []int{1 << 30, os.Getuid()}}}})
	refused := b.dial(relay.A)
	if event := b.expect(relay.Rejected, relay.A); !errors.Is(event.Err, relay.ErrUID) {
		t.Errorf("turned away with %v", event.Err)
	}
	b.link.Seen(relay.A)
	if _, err := refused.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("it read %v, want EOF", err)
	}
	b.connect(relay.B)
}

// TestCloseBoth delivers the last words of the one that leaves before it closes the other.
func TestCloseBoth(t *testing.T) {
	for _, leaves := range []relay.Side{relay.A, relay.B} {
		t.Run(leaves.String(), func(t *testing.T) {
			b := newBenchWith(t, relay.Rules{CloseBoth: true})
			for range 3 {
				stays, goes := b.connect(leaves.Other()), b.connect(leaves)
				data := random(100_000)
				go func() {
					goes.Write(data)
					goes.Close()
				}()
				got, err := io.ReadAll(stays)
				if err != nil || !bytes.Equal(got, data) {
					t.Fatalf("%d of %d bytes arrived: %v", len(got), len(data), err)
				}
				b.expect(relay.Left, leaves)
				if event := b.expect(relay.Left, leaves.Other()); !errors.Is(event.Err, relay.ErrPartner) {
					t.Errorf("the other left with %v", event.Err)
				}
			}
		})
	}
}

// TestCloseBothOfAStuckReader keeps a successor waiting until the old partner is gone.
func TestCloseBothOfAStuckReader(t *testing.T) {
	b := newBenchWith(t, relay.Rules{CloseBoth: true})
	stuck := b.dial(relay.A)
	partner := b.expect(relay.Arrived, relay.A)
	b.link.Seen(relay.A)
	goes := b.connect(relay.B)
	fill(t, goes, random(4<<20))
	b.disconnect(relay.B, goes)
	successor := b.dial(relay.B)
	b.link.Expire(relay.A, partner.ID+100) // somebody else
	select {
	case event := <-b.events:
		t.Fatalf("%+v before the old partner was gone", event)
	default:
	}
	b.link.Expire(relay.A, partner.ID)
	b.expect(relay.Left, relay.A)
	stuck.Close()
	b.expect(relay.Arrived, relay.B)
	b.link.Seen(relay.B)
	carry(t, b.connect(relay.A), successor, []byte("a new session"))
}

// TestLossThatEndsTheLink delivers the last words, closes the other peer and removes the sockets, as socat does.
func TestLossThatEndsTheLink(t *testing.T) {
	b := newBenchWith(t, relay.Rules{EndAfter: relay.AnyLoss})
	stays, goes := b.connect(relay.A), b.connect(relay.B)
	data := random(150_000)
	go func() {
		goes.Write(data)
		goes.Close()
	}()
	got, err := io.ReadAll(stays)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d of %d bytes arrived: %v", len(got), len(data), err)
	}
	b.expect(relay.Left, relay.B)
	if event := b.next(); event.Kind != relay.Ending {
		t.Errorf("got event %+v, want the beginning of the end", event)
	}
	if event := b.expectOver(); !errors.Is(event.Err, relay.ErrLost) {
		t.Errorf("the link ended with %v", event.Err)
	}
	if _, err := os.Lstat(b.paths[relay.A]); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestOnlyACleanLossEndsTheLink(t *testing.T) {
	b := newBenchWith(t, relay.Rules{EndAfter: relay.CleanLoss})
	stays, crashes := b.connect(relay.A), b.connect(relay.B)
	if _, err := stays.Write([]byte("unread")); err != nil {
		t.Fatal(err)
	}
	b.eventually("it is sent", func() bool { return b.counters[relay.B].Sent.Load() == 6 })
	crashes.Close() // with bytes unread, so the kernel reports ECONNRESET
	if event := b.expect(relay.Left, relay.B); !errors.Is(event.Err, unix.ECONNRESET) {
		t.Errorf("it left with %v", event.Err)
	}
	b.connect(relay.B)
	b.link.Disconnect(relay.B) // a reset is no loss
	b.expect(relay.Left, relay.B)
	clean := b.connect(relay.B)
	carry(t, stays, clean, []byte("still up"))
	clean.Close()
	b.expect(relay.Left, relay.B)
	if event := b.next(); event.Kind != relay.Ending {
		t.Errorf("got event %+v, want the beginning of the end", event)
	}
	if event := b.expectOver(); !errors.Is(event.Err, relay.ErrLost) {
		t.Errorf("the link ended with %v", event.Err)
	}
}

// brokenListener fails to accept a few times, as one does in a process that has too many open files.
type brokenListener struct {
	endpoint.Listener
	failures int
}

func (l *brokenListener) Accept() (endpoint.Peer, error) {
	if l.failures > 0 {
		l.failures--
		return endpoint.Peer{}, os.NewSyscallError("accept", unix.EMFILE)
	}
	return l.Listener.Accept()
}

// TestAcceptThatFails is not tried again before the link is told to, so it cannot spin; and nobody is lost.
func TestAcceptThatFails(t *testing.T) {
	b := newBench(t)
	if err := os.Remove(b.paths[relay.A]); err != nil {
		t.Fatal(err)
	}
	listener := &brokenListener{Listener: b.open(relay.A), failures: 3}
	if err := b.link.Listen(relay.A, listener); err != nil {
		t.Fatal(err)
	}
	conn := b.dial(relay.A)
	for range 3 {
		if event := b.expect(relay.AcceptFailed, relay.A); !errors.Is(event.Err, unix.EMFILE) {
			t.Errorf("accept failed with %v", event.Err)
		}
		b.link.Disconnect() // a round of the loop
		select {
		case event := <-b.events:
			t.Fatalf("%+v before the end may accept again", event)
		default:
		}
		b.link.Accept(relay.A)
	}
	b.expect(relay.Arrived, relay.A)
	b.link.Seen(relay.A)
	carry(t, conn, b.connect(relay.B), []byte("hello"))
}

// TestNewListenerTakesOver replaces the listener of an end whose file was deleted. The peer stays.
func TestNewListenerTakesOver(t *testing.T) {
	b := newBench(t)
	a, other := b.connect(relay.A), b.connect(relay.B)
	if err := os.Remove(b.paths[relay.A]); err != nil {
		t.Fatal(err)
	}
	b.listen(relay.A)
	carry(t, a, other, []byte("undisturbed"))
	b.disconnect(relay.A, a)
	again := b.connect(relay.A)
	carry(t, again, other, []byte("through the new socket"))
}

// TestPeersThatOnlyLook come and go many times a second. The link neither spins nor loses its head.
func TestPeersThatOnlyLook(t *testing.T) {
	b := newBench(t)
	deadline := time.Now().Add(300 * time.Millisecond)
	n := 0
	for ; time.Now().Before(deadline); n++ {
		b.dial(relay.A).Close()
		b.expect(relay.Arrived, relay.A)
		b.link.Seen(relay.A)
		b.expect(relay.Left, relay.A)
	}
	if got := b.counters[relay.A].Connections.Load(); got != uint64(n) {
		t.Errorf("%d of %d were counted", got, n)
	}
}

// TestReplaceWithCloseBoth does not join the newest peer to the partner of the one that it replaces.
func TestReplaceWithCloseBoth(t *testing.T) {
	b := newBenchWith(t, relay.Rules{CloseBoth: true, Ends: [2]relay.EndRules{{Busy: relay.Replace}, {}}})
	b.connect(relay.A)
	old := b.connect(relay.B)
	newest := b.dial(relay.A)
	b.expect(relay.Left, relay.A)
	if _, err := newest.Write([]byte("for the new session")); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(old); err != nil || len(got) > 0 {
		t.Errorf("the partner of the one that was replaced got %q, %v", got, err)
	}
	for event := b.next(); event.Kind != relay.Arrived; event = b.next() {
		if event.Kind != relay.Queued && event.Kind != relay.Left {
			t.Fatalf("got event %+v", event)
		}
	}
}

// TestVisitorsThatSayNothing do not count among those who have left words.
func TestVisitorsThatSayNothing(t *testing.T) {
	b := newBench(t)
	a := b.connect(relay.A)
	b.connect(relay.B)
	fill(t, a, random(4<<20))
	b.disconnect(relay.A, a)
	for range 20 {
		b.disconnect(relay.A, b.connect(relay.A))
	}
}
