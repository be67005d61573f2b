package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"serialhub/internal/address"
	"serialhub/internal/config"
	"serialhub/internal/relay"
	"serialhub/internal/testenv"
)

// patience is how long a test waits for what should happen at once, on a machine that may be busy.
const patience = 20 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hub is a supervisor that runs, and what it has logged.
type hub struct {
	*Supervisor
	t     *testing.T
	dir   string
	log   *logBuffer
	ended chan error
}

type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// startHub runs a supervisor for links whose ends are NAME-a and NAME-b in the hub's folder, and stops it with the test.
func startHub(t *testing.T, names ...string) *hub {
	t.Helper()
	return startWith(t, func(*Supervisor) {}, names...)
}

// startWith lets prepare change the links, and what they are made of, before they run.
func startWith(t *testing.T, prepare func(*Supervisor), names ...string) *hub {
	t.Helper()
	testenv.NoDescriptorsLeft(t)
	dir := testenv.Dir(t)
	h := &hub{t: t, dir: dir, log: &logBuffer{}, ended: make(chan error, 1)}
	var links []config.Link
	for _, name := range names {
		links = append(links, config.Link{
			Name: name, A: h.end(name, relay.A), B: h.end(name, relay.B), Restart: always, Absent: config.AbsentDiscard, BufferSize: 1000,
		})
	}
	var err error
	h.Supervisor, err = New(links, slog.New(slog.NewTextHandler(h.log, nil)), nil)
	if err != nil {
		t.Fatal(err)
	}
	prepare(h.Supervisor)
	go func() { h.ended <- h.Run() }()
	t.Cleanup(func() {
		h.Stop()
		select {
		case err := <-h.ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("the supervisor does not end")
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("left behind: %v, %v", entries, err)
		}
		if t.Failed() {
			t.Log("the hub's log:\n" + h.log.String())
		}
	})
	return h
}

func (h *hub) path(name string, side relay.Side) string {
	return filepath.Join(h.dir, name+"-"+side.String())
}

func (h *hub) end(name string, side relay.Side) config.End {
	h.t.Helper()
	return h.endAt(filepath.Base(h.path(name, side)))
}

// endAt is an end at a file in the hub's folder.
func (h *hub) endAt(file string) config.End {
	h.t.Helper()
	addr, err := address.Parse(filepath.Join(h.dir, file), "/")
	if err != nil {
		h.t.Fatal(err)
	}
	return config.End{Address: addr, Mode: 0o600}
}

// wait waits until a link satisfies a condition, and returns it.
func (h *hub) wait(name, what string, condition func(Link) bool) Link {
	h.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		link, err := h.Link(name)
		if err != nil {
			h.t.Fatal(err)
		}
		if condition(link) {
			return link
		}
		select {
		case <-tick.C:
		case <-deadline:
			h.t.Fatalf("waited in vain until %s is %s: it is %+v", name, what, link)
		}
	}
}

// waitLog waits until the hub has logged something: it does so after the status has changed.
func (h *hub) waitLog(text string) {
	h.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(h.log.String(), text) {
		select {
		case <-tick.C:
		case <-deadline:
			h.t.Fatalf("waited in vain until the log says %s", text)
		}
	}
}

func (h *hub) waitState(name string, state LinkState) Link {
	h.t.Helper()
	return h.wait(name, string(state), func(l Link) bool { return l.State == state })
}

func (h *hub) dial(name string, side relay.Side) *net.UnixConn {
	h.t.Helper()
	return h.dialPath(h.path(name, side))
}

func (h *hub) dialPath(path string) *net.UnixConn {
	h.t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn.(*net.UnixConn)
}

// up connects both ends of a link.
func (h *hub) up(name string) (a, b *net.UnixConn) {
	h.t.Helper()
	h.waitState(name, LinkWaiting)
	a, b = h.dial(name, relay.A), h.dial(name, relay.B)
	h.waitState(name, LinkUp)
	return a, b
}

func carry(t *testing.T, from io.Writer, to io.Reader, text string) {
	t.Helper()
	if _, err := from.Write([]byte(text)); err != nil {
		t.Error(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(to, got); err != nil || string(got) != text {
		t.Errorf("got %q, %v; want %q", got, err, text)
	}
}

func TestStatesFollowThePeers(t *testing.T) {
	h := startHub(t, "dbg")
	before := h.waitState("dbg", LinkWaiting)
	a := h.dial("dbg", relay.A)
	half := h.waitState("dbg", LinkHalf)
	if half.Since.Before(before.Since) || half.Sessions != 0 {
		t.Errorf("half: %+v", half)
	}
	peer := half.Ends[relay.A].Peer
	if peer == nil || peer.PID != os.Getpid() || peer.UID != os.Getuid() || peer.Command != "supervisor.test" {
		t.Errorf("the peer is %+v, want this process", peer)
	}
	b := h.dial("dbg", relay.B)
	h.waitState("dbg", LinkUp)
	carry(t, a, b, "hello")
	carry(t, b, a, "and back")
	for range 3 {
		b.Close()
		left := h.waitState("dbg", LinkHalf)
		if left.Ends[relay.B].Peer != nil || left.Ends[relay.B].State != EndWaiting {
			t.Errorf("after b left: %+v", left.Ends[relay.B])
		}
		b = h.dial("dbg", relay.B)
		h.waitState("dbg", LinkUp)
		carry(t, a, b, "again")
	}
	got := h.wait("dbg", "counted", func(l Link) bool { return l.Ends[relay.A].Received == 5+3*5 })
	if got.Sessions != 4 || got.Ends[relay.A].Connections != 1 || got.Ends[relay.B].Connections != 4 ||
		got.Ends[relay.B].Received != 8 || got.Failures != 0 || got.Last != nil {
		t.Errorf("in the end: %+v", got)
	}
	for _, line := range []string{
		fmt.Sprintf(`msg="peer connected" link=dbg end=a peer_pid=%d`, os.Getpid()),
		fmt.Sprintf(`msg="peer left" link=dbg end=b peer_pid=%d`, os.Getpid()),
	} {
		h.waitLog(line)
	}
}

func TestDerive(t *testing.T) {
	tests := []struct {
		a, b EndState
		want LinkState
	}{
		{EndOpening, EndOpening, LinkStarting},
		{EndOpening, EndWaiting, LinkStarting},
		{EndWaiting, EndWaiting, LinkWaiting},
		{EndConnected, EndWaiting, LinkHalf},
		{EndConnected, EndConnected, LinkUp},
		{EndConnected, EndRetrying, LinkRetrying},
		{EndOpening, EndRetrying, LinkRetrying},
	}
	for _, test := range tests {
		if got := derive(test.a, test.b); got != test.want {
			t.Errorf("%s and %s make %s, want %s", test.a, test.b, got, test.want)
		}
		if got := derive(test.b, test.a); got != test.want {
			t.Errorf("%s and %s make %s, want %s", test.b, test.a, got, test.want)
		}
	}
}

func TestReset(t *testing.T) {
	for _, test := range []struct {
		name   string
		sides  []relay.Side
		closed [2]bool
		state  LinkState
	}{
		{"both", nil, [2]bool{true, true}, LinkWaiting},
		{"a", []relay.Side{relay.A}, [2]bool{true, false}, LinkHalf},
		{"b", []relay.Side{relay.B}, [2]bool{false, true}, LinkHalf},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := startHub(t, "dbg")
			var conns [2]*net.UnixConn
			conns[relay.A], conns[relay.B] = h.up("dbg")
			link, err := h.Reset(context.Background(), "dbg", test.sides...)
			if err != nil {
				t.Fatal(err)
			}
			if link.State != test.state || link.Resets != 1 {
				t.Errorf("the reset answers %+v, want state %s", link, test.state)
			}
			for side, closed := range test.closed {
				if closed {
					if _, err := conns[side].Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
						t.Errorf("the peer at %s read %v, want EOF", relay.Side(side), err)
					}
					conns[side] = h.dial("dbg", relay.Side(side))
				}
			}
			h.waitState("dbg", LinkUp)
			carry(t, conns[relay.A], conns[relay.B], "after the reset")
		})
	}
}

func TestResetOfNoLink(t *testing.T) {
	h := startHub(t, "dbg")
	if _, err := h.Reset(context.Background(), "dgb"); !errors.Is(err, ErrNoLink) {
		t.Errorf("Reset gave %v", err)
	}
	if _, err := h.Link("dgb"); !errors.Is(err, ErrNoLink) {
		t.Errorf("Link gave %v", err)
	}
}

// TestLinkThatCannotBind is tried again, while the link beside it works, and comes up once the way is free.
func TestLinkThatCannotBind(t *testing.T) {
	blocked := startBlocked(t)
	retrying := blocked.waitState("bad", LinkRetrying)
	if last := retrying.Last; last == nil || last.End != "b" || !strings.Contains(last.Message, "is a file, not a socket") || retrying.Failures == 0 {
		t.Errorf("the blocked link says %+v", last)
	}
	blocked.waitState("good", LinkWaiting)
	if names := blocked.NotOpen(); len(names) != 1 || names[0] != "bad" {
		t.Errorf("not open: %v", names)
	}
	a, b := blocked.up("good")
	carry(t, a, b, "undisturbed")

	// The end that could be opened takes its peer, and keeps it when the other end comes.
	stays := blocked.dial("bad", relay.A)
	blocked.wait("bad", "connected at a", func(l Link) bool { return l.Ends[relay.A].State == EndConnected })
	if err := os.Remove(blocked.path("bad", relay.B)); err != nil {
		t.Fatal(err)
	}
	blocked.waitState("bad", LinkHalf)
	comes := blocked.dial("bad", relay.B)
	blocked.waitState("bad", LinkUp)
	carry(t, stays, comes, "at last")
	if names := blocked.NotOpen(); len(names) != 0 {
		t.Errorf("not open: %v", names)
	}
}

// TestEachEndSaysWhyItFails also of two that fail in turn.
func TestEachEndSaysWhyItFails(t *testing.T) {
	h := startWith(t, func(s *Supervisor) {
		for _, end := range s.links[0].config.Ends() {
			if err := os.WriteFile(end.Address.Path(), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}, "dbg")
	says := func(e End, file string) bool { return strings.Contains(e.Error, file+" is a file, not a socket") }
	both := func(l Link) bool {
		return says(l.Ends[relay.A], h.path("dbg", relay.A)) && says(l.Ends[relay.B], h.path("dbg", relay.B))
	}
	h.wait("dbg", "why both fail", both)
	if err := os.Remove(h.path("dbg", relay.A)); err != nil {
		t.Fatal(err)
	}
	h.wait("dbg", "why b fails, and nothing of a", func(l Link) bool {
		return l.Ends[relay.A].State == EndWaiting && l.Ends[relay.A].Error == "" && says(l.Ends[relay.B], h.path("dbg", relay.B))
	})
	if err := os.Remove(h.path("dbg", relay.B)); err != nil {
		t.Fatal(err)
	}
	if l, err := h.StopLink(t.Context(), "dbg"); err != nil || l.Ends[relay.B].Error != "" {
		t.Errorf("stopped, it says %+v, %v", l.Ends[relay.B], err)
	}
}

// startBlocked runs a link "good" and a link "bad", with a file in the way of bad's end b.
func startBlocked(t *testing.T) *hub {
	t.Helper()
	return startWith(t, func(s *Supervisor) {
		if err := os.WriteFile(s.links[1].config.B.Address.Path(), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}, "good", "bad")
}

func TestResetOpensAtOnce(t *testing.T) {
	h := startBlocked(t)
	h.wait("bad", "waiting long", func(l Link) bool { return l.Failures > 2 })
	if err := os.Remove(h.path("bad", relay.B)); err != nil {
		t.Fatal(err)
	}
	link, err := h.Reset(context.Background(), "bad")
	if err != nil || link.State != LinkWaiting {
		t.Errorf("the reset answers %+v, %v", link, err)
	}
}

// TestPanicStaysInItsLink lets a link panic when its first peer comes. It is started again; the other goes on.
func TestPanicStaysInItsLink(t *testing.T) {
	panicked := false
	h := startWith(t, func(s *Supervisor) {
		s.links[1].parts.newWire = func(loop *relay.Loop, id uint64, rules relay.Rules, counters *[2]relay.Counters, hooks relay.Hooks) *relay.Link {
			return relay.NewLink(loop, id, rules, counters, relay.Hooks{Report: func(event relay.Event) {
				if event.Kind == relay.Arrived && !panicked {
					panicked = true
					panic("on purpose")
				}
				hooks.Report(event)
			}})
		}
	}, "good", "bad")
	a, b := h.up("good")
	h.waitState("bad", LinkWaiting)
	victim := h.dial("bad", relay.A)
	if _, err := victim.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the peer of a link that panicked read %v, want EOF", err)
	}
	failed := h.wait("bad", "started again", func(l Link) bool { return l.Failures == 1 && l.State == LinkWaiting })
	if !strings.Contains(failed.Last.Message, "on purpose") || failed.Last.End != "" {
		t.Errorf("the failure is %+v", failed.Last)
	}
	h.waitLog("relay.(*Link).arrive")
	carry(t, a, b, "undisturbed")
	a, b = h.up("bad")
	carry(t, a, b, "again")
	if good, _ := h.Link("good"); good.Sessions != 1 || good.Failures != 0 {
		t.Errorf("the other link was disturbed: %+v", good)
	}
}

// TestResetOfALinkThatCannotStart is answered, although there is nothing to reset.
func TestResetOfALinkThatCannotStart(t *testing.T) {
	h := startWith(t, func(s *Supervisor) {
		s.links[0].parts.newWire = func(*relay.Loop, uint64, relay.Rules, *[2]relay.Counters, relay.Hooks) *relay.Link {
			panic("no wire")
		}
	}, "dbg")
	failing := h.waitState("dbg", LinkRetrying)
	if !strings.Contains(failing.Last.Message, "no wire") || failing.Ends[relay.A].State != EndClosed {
		t.Errorf("the link is %+v", failing)
	}
	link, err := h.Reset(context.Background(), "dbg")
	if err != nil || link.State != LinkRetrying || link.Failures <= failing.Failures {
		t.Errorf("the reset answers %+v, %v", link, err)
	}
}

func TestStopDeliversWhatWasSent(t *testing.T) {
	h := startHub(t, "dbg")
	a, b := h.up("dbg")
	text := strings.Repeat("last words ", 5000)
	if _, err := a.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	h.Stop()
	got, err := io.ReadAll(b)
	if err != nil || string(got) != text {
		t.Errorf("%d of %d bytes arrived, %v", len(got), len(text), err)
	}
	if err := <-h.ended; err != nil {
		t.Error(err)
	}
	h.ended <- nil
	if link, _ := h.Link("dbg"); link.State != LinkStopped || link.Ends[relay.A].Peer != nil {
		t.Errorf("after the stop: %+v", link)
	}
	if _, err := h.Reset(context.Background(), "dbg"); !errors.Is(err, ErrStopping) {
		t.Errorf("a reset after the stop gave %v", err)
	}
}

// TestStopDoesNotWaitForAStuckReader fills the wire towards a peer that does not read.
func TestStopDoesNotWaitForAStuckReader(t *testing.T) {
	h := startHub(t, "dbg")
	a, _ := h.up("dbg")
	go func() {
		chunk := make([]byte, 64<<10)
		for {
			if _, err := a.Write(chunk); err != nil {
				return
			}
		}
	}()
	h.wait("dbg", "filled", func(l Link) bool { return l.Ends[relay.A].Received > l.Ends[relay.B].Sent })
	began := time.Now()
	h.Stop()
	if err := <-h.ended; err != nil {
		t.Error(err)
	}
	h.ended <- nil
	if took := time.Since(began); took < drainTime || took > drainTime+patience {
		t.Errorf("the stop took %s, want a little more than %s", took, drainTime)
	}
}
