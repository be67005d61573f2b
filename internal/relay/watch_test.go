package relay_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"serialhub/internal/endpoint"
	"serialhub/internal/relay"
)

// witness is a watcher that remembers everything.
type witness struct {
	mu     sync.Mutex
	sides  [2][]byte
	order  []byte // the sides of the pieces
	missed int
}

func (w *witness) Saw(side relay.Side, data []byte, missed int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sides[side] = append(w.sides[side], data...)
	w.order = append(w.order, side.String()...)
	w.missed += missed
}

func (w *witness) Kept() int { return -1 }

func (w *witness) Takes(relay.Side, int) {}

func (w *witness) Unseen(relay.Side, int) int { return 0 }

// saw waits until the watcher has seen exactly that.
func (b *bench) saw(w *witness, side relay.Side, want []byte) {
	b.t.Helper()
	seen := func() []byte {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.sides[side]
	}
	b.eventually("the watcher has seen it", func() bool { return len(seen()) >= len(want) })
	if got := seen(); !bytes.Equal(got, want) {
		b.t.Errorf("of %d bytes from %s the watcher has seen %d, and they are the same: %v", len(want), side, len(got), bytes.Equal(got, want))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.missed > 0 {
		b.t.Errorf("it has missed %d", w.missed)
	}
}

// watched makes a link with a watcher.
func watched(t *testing.T, rules relay.Rules) (*bench, *witness) {
	b := newBenchWith(t, rules)
	w := &witness{}
	b.link.Watch(w)
	return b, w
}

// TestWatcherSeesEverything has a watcher see what comes, whatever becomes of it.
func TestWatcherSeesEverything(t *testing.T) {
	for _, size := range []int{1, 4096, 300_000} {
		data := random(size)
		t.Run(fmt.Sprintf("delivered %d", size), func(t *testing.T) {
			b, w := watched(t, relay.Rules{})
			a, other := b.connect(relay.A), b.connect(relay.B)
			carry(t, a, other, data)
			carry(t, other, a, data)
			b.saw(w, relay.A, data)
			b.saw(w, relay.B, data)
		})
		for name, absent := range map[string]relay.Absent{"discarded": relay.Discard, "buffered": relay.Buffer} {
			t.Run(fmt.Sprintf("%s %d", name, size), func(t *testing.T) {
				b, w := watched(t, relay.Rules{Absent: absent, BufferSize: 1000})
				if _, err := b.connect(relay.A).Write(data); err != nil {
					t.Fatal(err)
				}
				b.saw(w, relay.A, data)
			})
		}
	}
}

// TestWatcherSeesWhatIsHeld has bytes gather in the pipe, piece by piece, for a peer that comes later: they are seen once.
func TestWatcherSeesWhatIsHeld(t *testing.T) {
	b, w := watched(t, relay.Rules{Absent: relay.Hold})
	a := b.connect(relay.A)
	copies := os.Getenv(noSplice) != "" // then nothing goes into a pipe that has something in it: only the first piece is read
	var all []byte
	pieces := 100
	if os.Getenv(noSplice) != "" {
		pieces = 1 // the next is read when there is somebody to read it
	}
	for i := range pieces {
		piece := random(1 + i*5)
		if _, err := a.Write(piece); err != nil {
			t.Fatal(err)
		}
		all = append(all, piece...)
		if i == 0 || !copies {
			b.saw(w, relay.A, all)
		}
	}
	got := make([]byte, len(all))
	if _, err := io.ReadFull(b.connect(relay.B), got); err != nil || !bytes.Equal(got, all) {
		t.Errorf("the peer gets something else: %v", err)
	}
	b.saw(w, relay.A, all)
}

// TestWatcherSeesTheOrder lets two peers answer each other.
func TestWatcherSeesTheOrder(t *testing.T) {
	b, w := watched(t, relay.Rules{})
	peers := [2]net.Conn{b.connect(relay.A), b.connect(relay.B)}
	var want []byte
	for i := range 500 {
		side := relay.Side(i % 2)
		carry(t, peers[side], peers[side.Other()], []byte("x"))
		want = append(want, side.String()...)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !bytes.Equal(w.order, want) {
		t.Error("the pieces are in another order")
	}
}

// TestWatchersComeAndGo changes watchers while bytes flow: each byte is seen by one of them, unless there is none.
func TestWatchersComeAndGo(t *testing.T) {
	b := newBench(t)
	a, other := b.connect(relay.A), b.connect(relay.B)
	data := random(8 << 20)
	done := make(chan struct{})
	go func() {
		defer close(done)
		carry(t, a, other, data)
	}()
	var seen []byte
	for flows := true; flows; {
		w := &witness{}
		b.link.Watch(w)
		select {
		case <-done:
			flows = false
		default:
		}
		b.link.Watch(nil)
		seen = append(seen, w.sides[relay.A]...)
		if len(w.sides[relay.A]) > 0 && !bytes.Contains(data, w.sides[relay.A]) {
			t.Error("a watcher has seen what did not cross")
		}
	}
	if len(seen) > len(data) {
		t.Errorf("%d bytes were seen of %d", len(seen), len(data))
	}
}

func TestSay(t *testing.T) {
	b, w := watched(t, relay.Rules{})
	if _, err := b.link.Say(relay.A, []byte("x"), false); !errors.Is(err, relay.ErrNobody) {
		t.Errorf("to nobody: %v", err)
	}
	a := b.connect(relay.A)
	if n, err := b.link.Say(relay.A, []byte("hello"), false); n != 5 || err != nil {
		t.Fatalf("said %d, %v", n, err)
	}
	expectText(t, a, "hello")
	b.saw(w, relay.B, []byte("hello"))
	other := b.connect(relay.B)
	if _, err := b.link.Say(relay.A, []byte("x"), false); !errors.Is(err, relay.ErrTaken) {
		t.Errorf("while somebody is there: %v", err)
	}
	if n, err := b.link.Say(relay.A, []byte("injected"), true); n != 8 || err != nil {
		t.Fatalf("said %d, %v", n, err)
	}
	expectText(t, a, "injected")
	carry(t, other, a, []byte("and on"))
	b.saw(w, relay.B, []byte("helloinjectedand on"))
	b.eventually("all of it is counted", func() bool { return b.counters[relay.A].Sent.Load() == 19 })
}

// TestSayWaitsItsTurn says something to a peer that does not read: it is not taken, and nothing is lost or out of order.
func TestSayWaitsItsTurn(t *testing.T) {
	b := newBench(t)
	a, other := b.connect(relay.A), b.connect(relay.B)
	data := random(4 << 20)
	data = data[:fill(t, other, data)]
	b.eventually("the wire is full", func() bool {
		n, err := b.link.Say(relay.A, []byte("!"), true)
		if err != nil {
			t.Fatal(err)
		}
		return n == 0
	})
	want := bytes.ReplaceAll(data, []byte("!"), nil)
	var got []byte
	for some := make([]byte, 64<<10); len(got) < len(want); {
		n, err := a.Read(some)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, bytes.ReplaceAll(some[:n], []byte("!"), nil)...)
	}
	if !bytes.Equal(got, want) {
		t.Error("what was said before is out of order")
	}
}

func expectText(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Errorf("it gets %q, %v; want %q", got, err, want)
	}
}

// socketpair makes a peer of one side of a socketpair, and the other one.
func socketpair(t *testing.T) (endpoint.Peer, net.Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fds[1]), "other side")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return endpoint.Peer{FD: fds[0], Via: "attach"}, conn
}

func TestAttach(t *testing.T) {
	b := newBench(t)
	peer, conn := socketpair(t)
	if _, err := b.link.Attach(relay.A, peer, false); err != nil {
		t.Fatal(err)
	}
	b.expect(relay.Arrived, relay.A)
	other := b.connect(relay.B)
	carry(t, conn, other, []byte("there"))
	carry(t, other, conn, []byte("and back"))

	second, secondConn := socketpair(t)
	if _, err := b.link.Attach(relay.A, second, false); !errors.Is(err, relay.ErrBusy) {
		t.Errorf("a second one: %v", err)
	}
	if _, err := b.link.Attach(relay.A, second, true); err != nil {
		t.Fatal(err)
	}
	if event := b.expect(relay.Left, relay.A); !errors.Is(event.Err, relay.ErrReplaced) {
		t.Errorf("the first one left for %v", event.Err)
	}
	b.expect(relay.Arrived, relay.A)
	if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the first one reads %d, %v", n, err)
	}
	carry(t, secondConn, other, []byte("there"))
	if _, err := secondConn.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	if err := secondConn.Close(); err != nil {
		t.Fatal(err)
	}
	b.expect(relay.Left, relay.A)
	expectText(t, other, "last words")
	carry(t, b.connect(relay.A), other, []byte("the next one"))
}

// TestGuestLeaves has somebody leave who was attached, where a loss would close the other peer and end the link.
func TestGuestLeaves(t *testing.T) {
	b := newBenchWith(t, relay.Rules{EndAfter: relay.AnyLoss, CloseBoth: true})
	other := b.connect(relay.B)
	for range 2 {
		peer, conn := socketpair(t)
		if _, err := b.link.Attach(relay.A, peer, false); err != nil {
			t.Fatal(err)
		}
		b.expect(relay.Arrived, relay.A)
		carry(t, conn, other, []byte("there"))
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		b.expect(relay.Left, relay.A)
	}
	carry(t, b.connect(relay.A), other, []byte("and on"))
}
