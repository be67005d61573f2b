package ends

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"serialhub/internal/config"
	"serialhub/internal/relay"
	"serialhub/internal/supervisor"
	"serialhub/internal/testenv"
)

// linkName is what the link of each test is called.
const linkName = "dbg"

// eager has what failed be tried again soon.
const eager = "restart: {delay: 10ms, max_delay: 50ms}"

// hub is a supervisor with one link, in this process.
type hub struct {
	*supervisor.Supervisor
	t     *testing.T
	dir   string
	pair  pair
	sites [2]site
	log   *logBuffer
	ended chan struct{}

	awaited bool // what the hub comes to has been there before it
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

// await has a server or a device be there before the hub runs.
func (h *hub) await() {
	h.t.Helper()
	h.awaited = true
	for _, s := range h.sites {
		s.open(h.t)
	}
}

// newHub makes a hub that does not run yet.
func newHub(t *testing.T, p pair) *hub {
	t.Helper()
	h := &hub{t: t, dir: testenv.Dir(t), pair: p, log: &logBuffer{}}
	h.sites = [2]site{p.a.make(t, h.dir, "a"), p.b.make(t, h.dir, "b")}
	return h
}

// startHub runs a hub, and waits until its ends are open; or are tried again, because nobody is there.
func startHub(t *testing.T, p pair, keys ...string) *hub {
	t.Helper()
	h := newHub(t, p)
	h.start(keys...)
	h.waitOpen()
	return h
}

// waitOpen waits until peers can come to both ends; or until that is tried again that the hub comes to, because nobody is there. A
// server that is there may have to answer first.
func (h *hub) waitOpen() {
	h.t.Helper()
	h.wait("has opened its ends", func(l supervisor.Link) bool {
		for side, k := range []kind{h.pair.a, h.pair.b} {
			answers := k.fetched && h.awaited
			if l.Ends[side].State == supervisor.EndOpening && !answers {
				return false
			}
		}
		return true
	})
}

// start runs the hub for a link with these keys beside its ends, and stops it with the test.
func (h *hub) start(keys ...string) {
	h.t.Helper()
	var err error
	h.Supervisor, err = supervisor.New(h.links(keys...), slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	h.ended = make(chan struct{})
	go func() {
		defer close(h.ended)
		if err := h.Run(); err != nil {
			h.t.Error(err)
		}
	}()
	h.t.Cleanup(func() {
		h.Stop()
		h.waitEnded()
		if h.t.Failed() {
			h.t.Log("the hub's log:\n" + h.log.String())
		}
	})
}

func (h *hub) waitEnded() {
	h.t.Helper()
	select {
	case <-h.ended:
	case <-time.After(patience):
		h.t.Error("the hub does not end")
	}
}

// links are those of a file that has the ends of the hub's sites, and these keys.
func (h *hub) links(keys ...string) []config.Link {
	h.t.Helper()
	text := fmt.Sprintf("api: {listen: none}\nlinks:\n  - name: %s\n    a: %s\n    b: %s\n", linkName, h.sites[relay.A].end(), h.sites[relay.B].end())
	for _, key := range keys {
		text += "    " + key + "\n"
	}
	path := filepath.Join(h.dir, "links.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	loaded, err := config.Load(path)
	if err != nil {
		h.t.Fatalf("%v\n%s", err, text)
	}
	return loaded.Links
}

func (h *hub) link() supervisor.Link {
	h.t.Helper()
	link, err := h.Link(linkName)
	if err != nil {
		h.t.Fatal(err)
	}
	return link
}

// wait waits until the link satisfies a condition, and returns it.
func (h *hub) wait(what string, condition func(supervisor.Link) bool) supervisor.Link {
	h.t.Helper()
	return h.waitWithin(patience, what, condition)
}

func (h *hub) waitWithin(limit time.Duration, what string, condition func(supervisor.Link) bool) supervisor.Link {
	h.t.Helper()
	var link supervisor.Link
	until(h.t, limit, fmt.Sprintf("the link %s", what), func() bool {
		link = h.link()
		return condition(link)
	}, func() string { return describe(link) })
	return link
}

func (h *hub) waitState(state supervisor.LinkState) supervisor.Link {
	h.t.Helper()
	return h.wait("is "+string(state), func(l supervisor.Link) bool { return l.State == state })
}

// until waits for a condition, and says in what state things are if it does not come true.
func until(t *testing.T, limit time.Duration, what string, condition func() bool, state func() string) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %v in vain until %s: %s", limit, what, state())
		}
	}
}

func describe(l supervisor.Link) string {
	text := fmt.Sprintf("it is %s", l.State)
	for side, e := range l.Ends {
		text += fmt.Sprintf("; %s is %s, connections %d, received %d, sent %d, discarded %d", relay.Side(side), e.State, e.Connections, e.Received, e.Sent, e.Discarded)
	}
	if l.Last != nil {
		text += fmt.Sprintf("; last error at end %q: %s", l.Last.End, l.Last.Message)
	}
	return text
}

// arrive has a peer come to an end, and waits until the hub has it.
func (h *hub) arrive(side relay.Side) peer {
	h.t.Helper()
	before := h.link().Ends[side].Connections
	if h.awaited && before == 1 { // the hub has come already
		before = 0
	}
	p := h.sites[side].arrive(h.t)
	h.t.Cleanup(func() { p.Close() })
	h.waitConnected(side, before+1)
	return p
}

// waitConnected waits until so many peers have come to an end, and the last of them is there.
func (h *hub) waitConnected(side relay.Side, connections uint64) {
	h.t.Helper()
	h.wait(fmt.Sprintf("has peer %d at %s", connections, side), func(l supervisor.Link) bool {
		return l.Ends[side].Connections >= connections && l.Ends[side].State == supervisor.EndConnected
	})
}

// up has a peer come to each end.
func (h *hub) up() (a, b peer) {
	h.t.Helper()
	a, b = h.arrive(relay.A), h.arrive(relay.B)
	h.waitState(supervisor.LinkUp)
	return a, b
}

// empty is the state of the link while the other end has a peer and this one has not.
func (h *hub) empty(side relay.Side) supervisor.LinkState {
	if [2]kind{h.pair.a, h.pair.b}[side].fetched {
		return supervisor.LinkRetrying
	}
	return supervisor.LinkHalf
}

// waitClosed waits until the hub has closed a peer. What it has still to read is dropped.
func waitClosed(t *testing.T, what string, p peer) {
	t.Helper()
	p.SetDeadline(time.Now().Add(patience))
	n, err := io.Copy(io.Discard, p)
	if err != nil && !isGone(err) {
		t.Fatalf("%s is not closed by the hub: after %d bytes, %v", what, n, err)
	}
}

// isGone tells whether an error says that the other side has closed.
func isGone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.EIO)
}
