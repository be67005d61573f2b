package relay_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"serialhub/internal/relay"
)

func TestBytesCrossBothWays(t *testing.T) {
	for _, first := range []relay.Side{relay.A, relay.B} {
		for _, size := range []int{1, 16, 4096, 1 << 20} {
			t.Run(fmt.Sprintf("%s first, %d bytes", first, size), func(t *testing.T) {
				b := newBench(t)
				var conns [2]*net.UnixConn
				conns[first] = b.connect(first)
				conns[first.Other()] = b.connect(first.Other())
				data := random(size)
				done := make(chan struct{})
				go func() {
					defer close(done)
					carry(t, conns[relay.A], conns[relay.B], data)
				}()
				carry(t, conns[relay.B], conns[relay.A], data)
				<-done
				for side := range b.counters {
					c := &b.counters[side]
					b.eventually("every byte is counted", func() bool {
						return c.Received.Load() == uint64(size) && c.Sent.Load() == uint64(size)
					})
					if n := c.Discarded.Load(); n != 0 {
						t.Errorf("end %s counted %d discarded bytes", relay.Side(side), n)
					}
				}
			})
		}
	}
}

// TestThousandDepartures lets the peer of either end leave and come back 1,000 times, and checks every byte that
// both were there for. The other peer is the same all the time.
func TestThousandDepartures(t *testing.T) {
	for _, leaves := range []relay.Side{relay.A, relay.B} {
		t.Run("end "+leaves.String(), func(t *testing.T) {
			b := newBench(t)
			stays := b.connect(leaves.Other())
			for i := range 1000 {
				comes := b.connect(leaves)
				data := random(1 + i%300)
				carry(t, stays, comes, data)
				carry(t, comes, stays, data)
				b.disconnect(leaves, comes)
				if t.Failed() {
					t.Fatalf("in session %d", i)
				}
			}
			if n := b.counters[leaves.Other()].Connections.Load(); n != 1 {
				t.Errorf("the peer that stayed was connected %d times", n)
			}
		})
	}
}

// TestConnectThenSendAtOnce does not wait for the link between a connection and the first byte.
func TestConnectThenSendAtOnce(t *testing.T) {
	b := newBench(t)
	stays := b.connect(relay.A)
	for i := range 200 {
		comes := b.dial(relay.B)
		carry(t, stays, comes, []byte{byte(i)})
		b.expect(relay.Arrived, relay.B)
		b.link.Seen(relay.B)
		b.disconnect(relay.B, comes)
	}
}

func TestBytesForNobodyAreDropped(t *testing.T) {
	b := newBench(t)
	a := b.connect(relay.A)
	data := random(3 << 20) // far more than the sockets hold, so this ends only if somebody reads
	if _, err := a.Write(data); err != nil {
		t.Fatal(err)
	}
	b.eventually("all is dropped", func() bool { return b.counters[relay.A].Discarded.Load() == uint64(len(data)) })
	other := b.connect(relay.B)
	carry(t, a, other, []byte("fresh"))
}

// TestStaleBytesAreDropped fills the wire for a peer that does not read and leaves. The next one gets none of it.
func TestStaleBytesAreDropped(t *testing.T) {
	b := newBench(t)
	a := b.connect(relay.A)
	lazy := b.connect(relay.B)
	filled := fill(t, a, random(4<<20))
	b.disconnect(relay.B, lazy)
	b.eventually("the wire is empty", func() bool { return b.counters[relay.A].Received.Load() == uint64(filled) })
	next := b.connect(relay.B)
	carry(t, a, next, []byte("fresh"))
	b.eventually("every byte is either sent or dropped", func() bool {
		sent, dropped := b.counters[relay.B].Sent.Load(), b.counters[relay.A].Discarded.Load()
		return dropped > 0 && sent+dropped == uint64(filled)+5
	})
}

// fill writes data until the wire is full, and returns how much of it is in the wire then.
func fill(t *testing.T, conn *net.UnixConn, data []byte) (written int) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		const full = 100 // milliseconds in which the link has taken nothing more
		for written < len(data) {
			poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
			if n, err := unix.Poll(poll, full); err != nil || n == 0 {
				return
			}
			if n, err := unix.Write(int(fd), data[written:min(written+4096, len(data))]); err == nil {
				written += n
			}
		}
	})
	if err != nil || written == len(data) {
		t.Fatalf("the wire took all %d bytes: %v", written, err)
	}
	return written
}

func TestSlowReaderGetsEverything(t *testing.T) {
	b := newBench(t)
	a, reader := b.connect(relay.A), b.connect(relay.B)
	data := random(4 << 20)
	filled := fill(t, a, data)
	if held := b.counters[relay.A].Received.Load(); held > 512<<10 {
		t.Errorf("the link has read %d bytes that nobody takes", held)
	}
	got := make([]byte, filled)
	if n, err := io.ReadFull(reader, got); err != nil {
		t.Fatalf("%d of %d bytes arrived: %v", n, filled, err)
	}
	if !bytes.Equal(got, data[:filled]) {
		t.Error("what arrived is not what was sent")
	}
	carry(t, a, reader, data[filled:])
}

// TestLastWordsOfAHeldBackSender closes a sender whose bytes still fill the wire: its end is free at once, its bytes
// arrive, and those of its successor after them.
func TestLastWordsOfAHeldBackSender(t *testing.T) {
	b := newBench(t)
	a, reader := b.connect(relay.A), b.connect(relay.B)
	data := random(4 << 20)
	filled := fill(t, a, data)
	b.disconnect(relay.A, a)
	successor := b.connect(relay.A)
	if _, err := successor.Write([]byte("successor")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, filled+len("successor"))
	if n, err := io.ReadFull(reader, got); err != nil {
		t.Fatalf("%d of %d bytes arrived: %v", n, len(got), err)
	}
	if !bytes.Equal(got[:filled], data[:filled]) || string(got[filled:]) != "successor" {
		t.Error("the last words did not arrive before those of the successor")
	}
	carry(t, reader, successor, []byte("and back"))
}

// TestManyLastWords lets twenty senders come and go while the reader does not read. Only some are taken in before it
// goes on; the others wait in the backlog, and nobody's words are lost or change places.
func TestManyLastWords(t *testing.T) {
	b := newBench(t)
	first, reader := b.connect(relay.A), b.connect(relay.B)
	data := random(4 << 20)
	want := data[:fill(t, first, data)]
	b.disconnect(relay.A, first)
	for i := range 20 {
		conn := b.dial(relay.A)
		words := fmt.Sprintf("<last words of sender %d>", i)
		if _, err := conn.Write([]byte(words)); err != nil {
			t.Fatal(err)
		}
		conn.Close()
		want = append(want, words...)
	}
	stop := make(chan struct{})
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		for {
			select {
			case event := <-b.events:
				if event.Kind == relay.Arrived {
					b.link.Seen(relay.A)
				}
			case <-stop:
				return
			}
		}
	}()
	const leaving = 8 // or one more, if that is accepted in the moment in which the one before hangs up
	connections := &b.counters[relay.A].Connections
	b.eventually("some are taken in", func() bool { return connections.Load() >= leaving })
	if n := connections.Load(); n > leaving+1 {
		t.Errorf("%d senders were taken in before anybody read", n)
	}
	got := make([]byte, len(want))
	if n, err := io.ReadFull(reader, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d of %d bytes arrived: %v", n, len(want), err)
	}
	if n := connections.Load(); n != 21 {
		t.Errorf("%d senders were taken in", n)
	}
	close(stop)
	<-followed
}

func TestLastWordsBeforeTheEnd(t *testing.T) {
	b := newBench(t)
	reader := b.connect(relay.B)
	for size := range 100 {
		a := b.connect(relay.A)
		data := random(1 + size*997)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			a.Write(data)
			a.Close()
		}()
		got := make([]byte, len(data))
		if n, err := io.ReadFull(reader, got); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d of %d bytes arrived: %v", n, len(data), err)
		}
		<-sent
		b.expect(relay.Left, relay.A)
	}
}

func TestHalfClosedPeerStillListens(t *testing.T) {
	b := newBench(t)
	a, other := b.connect(relay.A), b.connect(relay.B)
	if _, err := a.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	if err := a.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	question := make([]byte, 8)
	if _, err := io.ReadFull(other, question); err != nil {
		t.Fatal(err)
	}
	carry(t, other, a, []byte("answer"))
	b.disconnect(relay.A, a)
}

func TestSecondPeerIsClosedAtOnce(t *testing.T) {
	b := newBench(t)
	a, other := b.connect(relay.A), b.connect(relay.B)
	second := b.dial(relay.A)
	if n, err := second.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the second peer read %d bytes and %v, want EOF", n, err)
	}
	event := b.expect(relay.Rejected, relay.A)
	if event.Peer.PID != os.Getpid() || event.Peer.UID != os.Getuid() {
		t.Errorf("the link says that %+v was turned away, but that was pid %d, uid %d", event.Peer, os.Getpid(), os.Getuid())
	}
	b.link.Seen(relay.A)
	carry(t, a, other, []byte("undisturbed"))
}

func TestDisconnect(t *testing.T) {
	b := newBench(t)
	a, other := b.connect(relay.A), b.connect(relay.B)
	b.link.Disconnect(relay.A)
	b.expect(relay.Left, relay.A)
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the disconnected peer read %v, want EOF", err)
	}
	again := b.connect(relay.A)
	carry(t, again, other, []byte("again"))
	carry(t, other, again, []byte("and back"))
}

func TestDrainDeliversWhatWasSent(t *testing.T) {
	b := newBench(t)
	a, reader := b.connect(relay.A), b.connect(relay.B)
	filled := fill(t, a, random(4<<20))
	b.link.Drain()
	got, err := io.ReadAll(reader)
	if err != nil || len(got) != filled {
		t.Errorf("%d of %d bytes arrived, then %v", len(got), filled, err)
	}
	if event := b.expectOver(); event.Err != nil {
		t.Error(event.Err)
	}
	for _, path := range b.paths {
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", path, err)
		}
	}
}

func TestDrainOfAStuckReaderEndsWithClose(t *testing.T) {
	b := newBench(t)
	a := b.connect(relay.A)
	b.connect(relay.B)
	fill(t, a, random(4<<20))
	b.link.Drain()
	select {
	case event := <-b.events:
		t.Fatalf("%+v, although the reader has not read", event)
	default:
	}
	b.link.Close()
	b.expectOver()
}

func (b *bench) expectOver() relay.Event {
	b.t.Helper()
	event := b.next()
	for event.Kind == relay.Left {
		event = b.next()
	}
	if event.Kind != relay.Over {
		b.t.Fatalf("got event %+v, want the link's end", event)
	}
	return event
}

// TestListenerThatIsShutDown is shut down by somebody else who has it. The link goes on.
func TestListenerThatIsShutDown(t *testing.T) {
	b := newBench(t)
	b.paths[relay.A] += "2"
	listener := b.open(relay.A)
	if err := b.link.Listen(relay.A, listener); err != nil {
		t.Fatal(err)
	}
	if err := unix.Shutdown(listener.FD(), unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	b.expect(relay.AcceptFailed, relay.A)
	b.connect(relay.B)
}
