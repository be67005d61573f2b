package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"serialhub/internal/config"
	"serialhub/internal/events"
	"serialhub/internal/relay"
	"serialhub/internal/testenv"
)

// listener hears all that happens, in the order in which it does.
type listener struct {
	t      *testing.T
	reader *events.Reader
	heard  []*events.Entry
}

// listen begins with what has happened since the hub was made.
func (h *hub) listen() *listener {
	r, _ := h.Events().After("")
	return &listener{t: h.t, reader: r}
}

// hear takes what has happened since.
func (l *listener) hear() (fresh []*events.Entry) {
	l.t.Helper()
	room := make([]*events.Entry, 64)
	for {
		taken, more, err := l.reader.Take(room)
		if err != nil {
			l.t.Fatal(err)
		}
		fresh = append(fresh, taken...)
		l.heard = append(l.heard, taken...)
		if more != nil {
			return fresh
		}
	}
}

// hears waits until what has happened since is this; see short.
func (l *listener) hears(what string, want ...string) {
	l.t.Helper()
	var got []string
	testenv.Eventually(l.t, patience, what, func() error {
		for _, e := range l.hear() {
			got = append(got, short(e))
		}
		if len(got) < len(want) {
			return fmt.Errorf("heard is %q", got)
		}
		return nil
	})
	if !slices.Equal(got, want) {
		l.t.Errorf("%s: heard is\n%q, want\n%q", what, got, want)
	}
}

// short is an event in a few words.
func short(e *events.Entry) string {
	text := strings.TrimSuffix(e.Link+"."+e.End, ".") + " " + string(e.Type)
	if e.Type == events.State {
		text = fmt.Sprintf("%s %s>%s", e.Link, e.Previous, e.State)
	}
	if e.Reason+e.Message != "" {
		text += ": " + e.Reason + e.Message
	}
	return text
}

// consistent checks that the states of each link make a chain, that who leaves an end has come to it before, and that all of it ends in what the links are now.
func (l *listener) consistent(links []Link) {
	l.t.Helper()
	states, peers := map[string]string{}, map[string]bool{}
	for _, e := range l.heard {
		end := e.Link + "." + e.End
		switch e.Type {
		case events.State:
			if was, known := states[e.Link]; known && was != e.Previous || e.State == e.Previous || !known && e.Previous != string(LinkStarting) {
				l.t.Fatalf("%s is %s when it goes from %s to %s", e.Link, was, e.Previous, e.State)
			}
			states[e.Link] = e.State
		case events.Connected, events.Left:
			if peers[end] == (e.Type == events.Connected) || e.Peer == nil || e.Peer.PID == 0 {
				l.t.Fatalf("%s: somebody is at %s: %v; %+v", e.ID(), end, peers[end], e.Event)
			}
			peers[end] = e.Type == events.Connected
		}
	}
	for _, link := range links {
		if states[link.Name] != string(link.State) && (states[link.Name] != "" || link.State != LinkStarting) {
			l.t.Errorf("%s is heard to be %s, and is %s", link.Name, states[link.Name], link.State)
		}
		for side, end := range link.Ends {
			if name := link.Name + "." + relay.Side(side).String(); peers[name] != (end.Peer != nil) {
				l.t.Errorf("somebody is heard to be at %s: %v; there is %v", name, peers[name], end.Peer)
			}
		}
	}
}

func TestEventsOfALink(t *testing.T) {
	h := startHub(t, "dbg")
	l := h.listen()
	l.hears("it opens", "dbg starting>waiting")
	h.dial("dbg", relay.A)
	l.hears("a comes", "dbg.a peer_connected", "dbg waiting>half")
	if peer := l.heard[1].Peer; peer.PID != os.Getpid() || peer.UID != os.Getuid() || peer.Command != "supervisor.test" {
		t.Errorf("who has come is %+v", peer)
	}
	if link, _ := h.Link("dbg"); !link.Since.Equal(l.heard[2].At) {
		t.Errorf("it is half since %v, and became that at %v", link.Since, l.heard[2].At)
	}
	b := h.dial("dbg", relay.B)
	l.hears("b comes", "dbg.b peer_connected", "dbg half>up")
	h.dial("dbg", relay.A)
	l.hears("another one comes", "dbg.a peer_rejected: the end is taken")
	b.Close()
	l.hears("b leaves", "dbg.b peer_left", "dbg up>half")
	h.Reset(t.Context(), "dbg", relay.A)
	l.hears("a is reset", "dbg.a reset", "dbg.a peer_left: the end was reset", "dbg half>waiting")
	h.Reset(t.Context(), "dbg")
	l.hears("nobody is reset", "dbg reset")
	h.dial("dbg", relay.A)
	l.hears("a comes back", "dbg.a peer_connected", "dbg waiting>half")
	h.StopLink(t.Context(), "dbg")
	l.hears("it is stopped", "dbg.a peer_left: the link is closed", "dbg half>waiting", "dbg waiting>stopped")
	h.StartLink(t.Context(), "dbg")
	l.hears("it is started", "dbg stopped>starting", "dbg starting>waiting")
	h.StopLink(t.Context(), "dbg")
	l.hears("it is stopped again", "dbg waiting>stopped")
	h.Reset(t.Context(), "dbg")
	l.hears("it is reset", "dbg reset", "dbg stopped>starting", "dbg starting>waiting")
	if links := h.Links(); links[0].Resets != 3 {
		t.Errorf("resets: %d", links[0].Resets)
	}
	l.consistent(h.Links())
}

func TestEventsOfFaults(t *testing.T) {
	h := startLike(t, func(l *config.Link) {
		l.Restart = config.Restart{Policy: config.OnFailure, Delay: time.Millisecond, MaxDelay: time.Millisecond, MaxFailures: 3}
	})
	h.waitState("dbg", LinkWaiting)
	l := h.listen()
	l.hear()
	path := h.path("dbg", relay.B)
	os.Remove(path)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := h.waitState("dbg", LinkFailed)
	fault := "dbg.b fault: " + link.Last.Message
	l.hears("it fails", "dbg waiting>starting", fault, "dbg starting>retrying", fault, fault, "dbg retrying>failed")
	if last := l.heard[len(l.heard)-2]; !last.At.Equal(link.Last.At) {
		t.Errorf("the last one is of %v, and heard to be of %v", link.Last.At, last.At)
	}
	os.Remove(path)
}

// TestEventsOfAResetInVain has a link reset that fails at once again.
func TestEventsOfAResetInVain(t *testing.T) {
	h := startLike(t, func(l *config.Link) { l.Restart = config.Restart{Policy: config.Never} })
	h.waitState("dbg", LinkWaiting)
	h.StopLink(t.Context(), "dbg")
	path := h.path("dbg", relay.A)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(path)
	l := h.listen()
	l.hear()
	h.Reset(t.Context(), "dbg")
	link := h.waitState("dbg", LinkFailed)
	l.hears("it is reset in vain", "dbg reset", "dbg stopped>starting", "dbg.a fault: "+link.Last.Message, "dbg starting>failed")
	if link.Resets != 1 {
		t.Errorf("resets: %d", link.Resets)
	}
}

func TestEventsOfReloads(t *testing.T) {
	h := startHub(t)
	l := h.listen()
	h.apply(h.spec("x", "1", "2"), h.spec("y", "3", "4"))
	h.waitState("x", LinkWaiting)
	h.waitState("y", LinkWaiting)
	l.hear()
	if got := []string{short(l.heard[0]), short(l.heard[1])}; !slices.Equal(got, []string{"x link_added", "y link_added"}) {
		t.Errorf("first of all is heard %q", got)
	}
	a := h.dialAt("1")
	h.dialAt("4")
	h.waitState("x", LinkHalf)
	h.waitState("y", LinkHalf)
	l.hear()
	h.apply(h.spec("z", "1", "2"), h.spec("y", "3", "5"))
	l.hears("y moves, and x is called z", "y.b peer_left: the end was reset", "y half>starting", "y starting>waiting", "x link_removed", "z link_added", "y link_changed")
	a.Close()
	l.hears("who was at x leaves z", "z.a peer_left", "z half>waiting")
	h.apply(h.spec("z", "1", "2"))
	l.hears("y goes", "y waiting>stopped", "y link_removed")
	h.apply(h.spec("z", "1", "2", func(c *config.Link) { c.Disabled = true }))
	l.hears("z is disabled", "z waiting>stopped", "z link_changed")
	h.apply(h.spec("z", "1", "2", func(c *config.Link) { c.Disabled = true }))
	l.hears("nothing changes")
}

// TestEventsOfAStorm has peers come and go 1,000 times a second, while resets, stops and reloads happen. Nothing is told twice, or out of order; another link does not
// notice; and nothing is kept of it but the newest.
func TestEventsOfAStorm(t *testing.T) {
	h := startHub(t, "dbg", "calm")
	calmA, calmB := h.up("calm")
	l := h.listen()
	done := make(chan struct{})
	var wg sync.WaitGroup
	for _, side := range bothSides() {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(time.Millisecond):
				}
				if conn, err := net.Dial("unix", h.path("dbg", side)); err == nil {
					conn.Close()
				}
			}
		})
	}
	wg.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
			switch n % 4 {
			case 0:
				h.Reset(context.Background(), "dbg")
			case 1:
				h.StopLink(context.Background(), "dbg")
			case 2:
				h.StartLink(context.Background(), "dbg")
			}
		}
	})
	slow := h.listen()
	for range 100 {
		carry(t, calmA, calmB, "hello")
		carry(t, calmB, calmA, "and back")
		l.hear()
		<-time.After(5 * time.Millisecond)
	}
	close(done)
	wg.Wait()
	h.StopLink(context.Background(), "dbg")
	l.hear()
	l.consistent(h.Links())
	link, _ := h.Link("dbg")
	comings, turnedAway, resets := uint64(0), uint64(0), uint64(0)
	for _, e := range l.heard {
		switch {
		case e.Link != "dbg":
		case e.Type == events.Connected:
			comings++
		case e.Type == events.Rejected:
			turnedAway++
		case e.Type == events.Reset:
			resets++
		}
	}
	if counted := link.Ends[0].Connections + link.Ends[1].Connections; comings != counted || turnedAway != link.Ends[0].Rejected+link.Ends[1].Rejected || resets != link.Resets {
		t.Errorf("%d came, %d were turned away, %d resets are heard of; counted are %d, %d and %d",
			comings, turnedAway, resets, counted, link.Ends[0].Rejected+link.Ends[1].Rejected, link.Resets)
	}
	t.Logf("%d events, %d arrivals", len(l.heard), comings)
	if calm, _ := h.Link("calm"); calm.State != LinkUp || calm.Sessions != 1 {
		t.Errorf("the other link is %+v", calm)
	}
	if len(l.heard) > 5000 {
		if _, _, err := slow.reader.Take(make([]*events.Entry, 1)); !errors.Is(err, events.ErrBehind) {
			t.Errorf("who has heard nothing gets %v", err)
		}
	}
}

// TestHaltedTogether looks at what would be handed over, while much happens: the states are those that the events tell.
func TestHaltedTogether(t *testing.T) {
	h := startHub(t, "dbg", "other")
	done := make(chan struct{})
	var wg sync.WaitGroup
	for _, name := range []string{"dbg", "other"} {
		for _, side := range bothSides() {
			wg.Go(func() {
				for {
					select {
					case <-done:
						return
					case <-time.After(time.Millisecond):
					}
					if conn, err := net.Dial("unix", h.path(name, side)); err == nil {
						conn.Close()
					}
				}
			})
		}
	}
	l := h.listen()
	for range 50 {
		var links []Link
		var history events.History
		h.Halt(func(list []Link, told events.History) error {
			links, history = list, told
			return errors.New("not now")
		})
		seen := &listener{t: t}
		seen.reader, _ = events.Restore(history).After("")
		l.hear()
		if told := seen.hear(); len(told) > 0 {
			first := slices.IndexFunc(l.heard, func(e *events.Entry) bool { return e.ID() == told[0].ID() })
			seen.heard = append(slices.Clone(l.heard[:first]), told...) // with what is not handed over any more
		}
		seen.consistent(links)
		if t.Failed() {
			break
		}
	}
	close(done)
	wg.Wait()
}
