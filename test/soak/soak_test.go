// Package soak lets many links live through everything that peers do to them, at random, and checks every byte that
// both peers of a session were there for.
package soak

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"serialhub/internal/address"
	"serialhub/internal/config"
	"serialhub/internal/relay"
	"serialhub/internal/supervisor"
	"serialhub/internal/testenv"
)

var (
	duration = flag.Duration("soak.time", 3*time.Second, "how long the links live")
	seed     = flag.Uint64("soak.seed", 0, "of what happens; 0 for a new one")
)

const (
	links = 50
	// patience is how long anything may take that should happen at once, with 50 links on a busy machine.
	patience = 60 * time.Second
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", fmt.Sprint(links)); err != nil { // all links live at once
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func TestSoak(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-soak.time=%s -soak.seed=%d", *duration, *seed)
	testenv.NoDescriptorsLeft(t)
	dir := testenv.Dir(t)
	hub, drivers := start(t, dir)
	ended := make(chan error, 1)
	go func() { ended <- hub.Run() }()
	ctx, cancel := context.WithTimeout(t.Context(), *duration)
	defer cancel()
	t.Run("links", func(t *testing.T) {
		for _, d := range drivers {
			t.Run(d.name, func(t *testing.T) {
				t.Parallel()
				d.t = t
				d.live(ctx)
			})
		}
	})
	hub.Stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	done := map[string]int{}
	for _, d := range drivers {
		for name, n := range d.done {
			done[name] += n
		}
	}
	t.Logf("what happened: %v", done)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func start(t *testing.T, dir string) (*supervisor.Supervisor, []*driver) {
	t.Helper()
	end := func(name, side string) config.End {
		addr, err := address.Parse(filepath.Join(dir, name+side), "/")
		if err != nil {
			t.Fatal(err)
		}
		return config.End{Address: addr, Mode: 0o600, WhenBusy: config.BusyReject}
	}
	var configs []config.Link
	var drivers []*driver
	for i := range links {
		name := fmt.Sprintf("l%d", i)
		c := config.Link{
			Name: name, A: end(name, "a"), B: end(name, "b"),
			Restart: config.Restart{Policy: config.Always, Delay: 10 * time.Millisecond, MaxDelay: time.Second},
			Absent:  []config.Absent{config.AbsentDiscard, config.AbsentHold, config.AbsentBuffer}[i%3], BufferSize: 10_000,
		}
		configs = append(configs, c)
		drivers = append(drivers, &driver{
			name: name, absent: c.Absent, random: rand.New(rand.NewPCG(*seed, uint64(i))), done: map[string]int{},
			paths: [2]string{c.A.Address.Path(), c.B.Address.Path()},
		})
	}
	hub, err := supervisor.New(configs, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range drivers {
		d.hub = hub
	}
	return hub, drivers
}

// driver is both peers of one link, and whoever else meddles with it.
type driver struct {
	t      *testing.T
	hub    *supervisor.Supervisor
	name   string
	absent config.Absent
	paths  [2]string
	random *rand.Rand
	conns  [2]*net.UnixConn
	done   map[string]int
}

// live does things to the link until ctx is done. Before each, both peers are there and nothing is on its way.
func (d *driver) live(ctx context.Context) {
	acts := []struct {
		name string
		do   func()
	}{
		{"exchange", d.exchange},
		{"departure", d.departure},
		{"last words", d.lastWords},
		{"reader leaves", d.readerLeaves},
		{"second peer", d.secondPeer},
		{"deleted file", d.deletedFile},
		{"reset", d.reset},
		{"stop and start", d.stopAndStart},
	}
	d.wait("open", func(l supervisor.Link) bool { return l.State == supervisor.LinkWaiting })
	for ctx.Err() == nil && !d.t.Failed() {
		d.connect()
		act := acts[d.random.IntN(len(acts))]
		act.do()
		d.done[act.name]++
	}
	for side := range d.conns {
		d.leave(relay.Side(side))
	}
	d.wait("accounted for", func(l supervisor.Link) bool {
		a, b := l.Ends[relay.A], l.Ends[relay.B]
		return l.State == supervisor.LinkWaiting && a.Received == b.Sent+a.Discarded && b.Received == a.Sent+b.Discarded
	})
}

// wait waits until the link is as it should be, and returns it.
func (d *driver) wait(what string, condition func(supervisor.Link) bool) supervisor.Link {
	d.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		link, err := d.hub.Link(d.name)
		if err != nil {
			d.t.Fatal(err)
		}
		if condition(link) {
			return link
		}
		select {
		case <-tick.C:
		case <-deadline:
			d.t.Fatalf("waited in vain until the link is %s: it is %+v", what, link)
		}
	}
}

func (d *driver) dial(side relay.Side) *net.UnixConn {
	d.t.Helper()
	conn, err := net.DialTimeout("unix", d.paths[side], patience)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		d.t.Fatal(err)
	}
	return conn.(*net.UnixConn)
}

// connect brings back the peers that are not there.
func (d *driver) connect() {
	d.t.Helper()
	order := d.random.Perm(2)
	for _, side := range order {
		if d.conns[side] == nil {
			d.conns[side] = d.dial(relay.Side(side))
		}
	}
	d.wait("up", func(l supervisor.Link) bool { return l.State == supervisor.LinkUp })
	for _, conn := range d.conns {
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			d.t.Fatal(err)
		}
	}
}

// leave closes a peer, and waits until its end is free.
func (d *driver) leave(side relay.Side) {
	d.t.Helper()
	if d.conns[side] != nil {
		d.conns[side].Close()
		d.conns[side] = nil
	}
	d.wait("free", func(l supervisor.Link) bool { return l.Ends[side].State == supervisor.EndWaiting })
}

func (d *driver) anySide() relay.Side { return relay.Side(d.random.IntN(2)) }

// bytes are n random bytes.
func (d *driver) bytes(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(d.random.Uint32())
	}
	return data
}

// stream is what one peer sends to the other, in pieces of random sizes.
type stream struct {
	from, to *net.UnixConn
	data     []byte
	pieces   []int
	failed   chan error
}

func (d *driver) stream(from relay.Side, size int) *stream {
	largest := 1 << d.random.IntN(17)
	size = min(size, 500*largest) // with 50 links, a longer stream of single bytes would be all that happens
	s := &stream{from: d.conns[from], to: d.conns[from.Other()], data: d.bytes(size), failed: make(chan error, 2)}
	for rest := size; rest > 0; {
		piece := min(1+d.random.IntN(largest), rest)
		s.pieces = append(s.pieces, piece)
		rest -= piece
	}
	return s
}

func (s *stream) send() {
	rest := s.data
	for _, piece := range s.pieces {
		if _, err := s.from.Write(rest[:piece]); err != nil {
			s.failed <- fmt.Errorf("sending: %w", err)
			return
		}
		rest = rest[piece:]
	}
	s.failed <- nil
}

func (s *stream) receive() {
	got := make([]byte, len(s.data))
	n, err := io.ReadFull(s.to, got)
	switch {
	case err != nil:
		s.failed <- fmt.Errorf("%d of %d bytes arrived: %w", n, len(got), err)
	case string(got) != string(s.data):
		s.failed <- errors.New("what arrived is not what was sent")
	default:
		s.failed <- nil
	}
}

func (d *driver) check(s *stream) {
	d.t.Helper()
	for range 2 {
		if err := <-s.failed; err != nil {
			d.t.Error(err)
		}
	}
}

// size is small most of the time, and now and then more than the wire can hold.
func (d *driver) size() int { return 1 + d.random.IntN(1<<(4+d.random.IntN(17))) }

// exchange sends both ways at once; a reader may begin only when its sender is stuck or done.
func (d *driver) exchange() {
	streams := []*stream{d.stream(relay.A, d.size()), d.stream(relay.B, d.size())}
	for _, s := range streams {
		go s.send()
		if d.random.IntN(4) > 0 {
			go s.receive()
			continue
		}
		time.AfterFunc(time.Duration(d.random.IntN(20))*time.Millisecond, s.receive)
	}
	for _, s := range streams {
		d.check(s)
	}
}

func (d *driver) departure() { d.leave(d.anySide()) }

// lastWords closes the sender as soon as it has written.
func (d *driver) lastWords() {
	side := d.anySide()
	s := d.stream(side, d.size())
	go s.receive()
	s.send()
	d.leave(side)
	d.check(s)
}

// readerLeaves sends to a reader that goes in the middle of it, and goes on, if the link reads it. The next reader
// gets what the link promises, and then what is sent from then on.
func (d *driver) readerLeaves() {
	side := d.anySide()
	size := 1 + d.random.IntN(100_000)
	data := d.bytes(size)
	before := d.wait("known", func(supervisor.Link) bool { return true }).Ends[side].Received
	wrote := make(chan error, 1)
	sender := d.conns[side]
	go func() {
		_, err := sender.Write(data)
		wrote <- err
	}()
	io.ReadFull(d.conns[side.Other()], make([]byte, d.random.IntN(size)))
	d.leave(side.Other())
	if d.absent != config.AbsentHold {
		if err := <-wrote; err != nil {
			d.t.Error(err)
		}
		d.wait("read", func(l supervisor.Link) bool { return l.Ends[side].Received == before+uint64(size) })
	}
	d.connect()
	marker := d.bytes(32)
	if d.absent == config.AbsentHold {
		if err := <-wrote; err != nil {
			d.t.Error(err)
		}
	}
	if _, err := sender.Write(marker); err != nil {
		d.t.Error(err)
	}
	got := make([]byte, 0, size+len(marker))
	chunk := make([]byte, 4096)
	for len(got) < len(marker) || string(got[len(got)-len(marker):]) != string(marker) {
		n, err := d.conns[side.Other()].Read(chunk)
		if err != nil {
			d.t.Fatalf("the next reader got %d bytes and no marker: %v", len(got), err)
		}
		got = append(got, chunk[:n]...)
	}
	got = got[:len(got)-len(marker)]
	d.promised(data, got)
}

// promised checks what the next reader got of data, by what the link promises for bytes that are sent to nobody.
func (d *driver) promised(data, got []byte) {
	switch d.absent {
	case config.AbsentDiscard:
		if len(got) > 0 {
			d.t.Errorf("the next reader got %d stale bytes", len(got))
		}
	case config.AbsentBuffer:
		if len(got) > 10_000 {
			d.t.Errorf("the next reader got %d bytes of a buffer of 10,000", len(got))
		}
		fallthrough
	case config.AbsentHold:
		if string(got) != string(data[len(data)-len(got):]) {
			d.t.Errorf("the next reader got %d bytes that are not the last that were sent", len(got))
		}
	}
}

func (d *driver) secondPeer() {
	side := d.anySide()
	second := d.dial(side)
	defer second.Close()
	if n, err := second.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		d.t.Errorf("a second peer read %d bytes, %v; want EOF", n, err)
	}
	d.exchange()
}

func (d *driver) deletedFile() {
	side := d.anySide()
	if err := os.Remove(d.paths[side]); err != nil {
		d.t.Error(err)
		return
	}
	d.exchange()
	d.wait("bound again", func(supervisor.Link) bool {
		conn, err := net.Dial("unix", d.paths[side])
		if err != nil {
			return false
		}
		defer conn.Close()
		// It is turned away, for the end is taken. Without waiting for that, it could come to the end later, in the
		// place of the peer that the next act expects there.
		_, err = conn.Read(make([]byte, 1))
		return errors.Is(err, io.EOF)
	})
}

func (d *driver) reset() {
	sides := [][]relay.Side{{relay.A}, {relay.B}, {relay.A, relay.B}}[d.random.IntN(3)]
	if _, err := d.hub.Reset(d.t.Context(), d.name, sides...); err != nil {
		d.t.Error(err)
	}
	for _, side := range sides {
		if n, err := d.conns[side].Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			d.t.Errorf("after a reset the peer read %d bytes, %v; want EOF", n, err)
		}
		d.leave(side)
	}
}

func (d *driver) stopAndStart() {
	if _, err := d.hub.StopLink(d.t.Context(), d.name); err != nil {
		d.t.Error(err)
	}
	if _, err := d.hub.StartLink(d.t.Context(), d.name); err != nil {
		d.t.Error(err)
	}
	for side := range d.conns {
		d.leave(relay.Side(side))
	}
}
