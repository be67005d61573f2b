package relay_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"serialhub/internal/address"
	"serialhub/internal/endpoint"
	"serialhub/internal/relay"
	"serialhub/internal/testenv"
)

// patience is how long a test waits for what should happen at once, on a machine that may be busy.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(noSplice) != "" {
		if err := forbidSplice(); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// bench is a link on a loop of its own, with both ends listening.
type bench struct {
	t        testing.TB
	loop     *relay.Loop
	link     *relay.Link
	events   chan relay.Event
	counters [2]relay.Counters
	paths    [2]string
	conns    [2]*net.UnixConn // the newest of each end
}

func newBench(t testing.TB) *bench {
	t.Helper()
	return newBenchWith(t, relay.Rules{})
}

func newBenchWith(t testing.TB, rules relay.Rules) *bench {
	t.Helper()
	testenv.NoDescriptorsLeft(t)
	loop, err := relay.NewLoop(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- loop.Run() }()
	t.Cleanup(func() {
		loop.Stop()
		if err := <-ended; err != nil {
			t.Errorf("the loop ended with %v", err)
		}
	})
	return (&bench{t: t, loop: loop}).another(rules)
}

// another makes another link on the same loop.
func (b *bench) another(rules relay.Rules) *bench {
	b.t.Helper()
	b = &bench{t: b.t, loop: b.loop, events: make(chan relay.Event, 1024)}
	b.link = relay.NewLink(b.loop, 1, rules, &b.counters, relay.Hooks{Report: func(e relay.Event) { b.events <- e }})
	b.t.Cleanup(b.link.Close)
	dir := testenv.Dir(b.t)
	for _, side := range []relay.Side{relay.A, relay.B} {
		b.paths[side] = filepath.Join(dir, side.String())
		b.listen(side)
	}
	return b
}

func (b *bench) listen(side relay.Side) {
	b.t.Helper()
	if err := b.link.Listen(side, b.open(side)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) open(side relay.Side) endpoint.Listener {
	b.t.Helper()
	addr, err := address.Parse(b.paths[side], "/")
	if err != nil {
		b.t.Fatal(err)
	}
	listener, err := new(endpoint.Opener).Bind(endpoint.Spec{Address: addr, Mode: 0o600})
	if err != nil {
		b.t.Fatal(err)
	}
	return listener
}

// dial connects to an end, without waiting until the link has noticed.
func (b *bench) dial(side relay.Side) *net.UnixConn {
	b.t.Helper()
	conn, err := net.Dial("unix", b.paths[side])
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		b.t.Fatal(err)
	}
	b.conns[side] = conn.(*net.UnixConn)
	return b.conns[side]
}

// connect connects to an end and waits until the link says so.
func (b *bench) connect(side relay.Side) *net.UnixConn {
	b.t.Helper()
	conn := b.dial(side)
	b.expect(relay.Arrived, side)
	b.link.Seen(side)
	return conn
}

// disconnect closes a connection and waits until the link says that the end is free.
func (b *bench) disconnect(side relay.Side, conn *net.UnixConn) {
	b.t.Helper()
	conn.Close()
	b.expect(relay.Left, side)
}

func (b *bench) next() relay.Event {
	b.t.Helper()
	select {
	case event := <-b.events:
		return event
	case <-time.After(patience):
		b.t.Fatal("nothing was reported")
		return relay.Event{}
	}
}

func (b *bench) expect(kind relay.EventKind, side relay.Side) relay.Event {
	b.t.Helper()
	event := b.next()
	if event.Kind != kind || event.Side != side {
		b.t.Fatalf("got event %+v, want kind %d at end %s", event, kind, side)
	}
	return event
}

// eventually waits for a condition that a counter shows.
func (b *bench) eventually(what string, condition func() bool) {
	b.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			b.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// stays watches a condition for a moment in which it shall not change.
func (b *bench) stays(what string, condition func() bool) {
	b.t.Helper()
	over := time.After(200 * time.Millisecond)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if !condition() {
			b.t.Fatalf("it does not hold that %s", what)
		}
		select {
		case <-tick.C:
		case <-over:
			return
		}
	}
}

func random(n int) []byte {
	data := make([]byte, n)
	source := rand.NewChaCha8([32]byte{byte(n)})
	source.Read(data)
	return data
}

// carry sends data from one connection and reads it from the other, and compares every byte.
func carry(t *testing.T, from, to net.Conn, data []byte) {
	t.Helper()
	sent := make(chan error, 1)
	go func() {
		_, err := from.Write(data)
		sent <- err
	}()
	got := make([]byte, len(data))
	if n, err := io.ReadFull(to, got); err != nil {
		t.Errorf("%d of %d bytes arrived: %v", n, len(data), err)
	}
	if err := <-sent; err != nil {
		t.Errorf("sending: %v", err)
	}
	if !bytes.Equal(got, data) {
		t.Error("what arrived is not what was sent")
	}
}
