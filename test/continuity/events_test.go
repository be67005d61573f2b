package continuity

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"serialhub/internal/rest"
)

// TestEventsGoOn listens while the hub is interrupted, and peers come and go. Over an upgrade nothing is lost, doubled or out of order, and of the peers that stay nothing is told at all; after
// a restart it is told that something was missed.
func TestEventsGoOn(t *testing.T) {
	const links = "  - {name: dbg, a: a, b: b}\n  - {name: storm, a: c, b: d}\n"
	const times = 5
	each(t, interruptions(), links, func(t *testing.T, s *service, cause interruption) {
		l := s.listen()
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		done := make(chan struct{})
		var storm sync.WaitGroup
		for _, end := range []string{"c", "d"} {
			storm.Go(func() {
				for {
					select {
					case <-done:
						return
					case <-time.After(5 * time.Millisecond):
					}
					if conn, err := net.Dial("unix", s.path(end)); err == nil {
						conn.Close()
					}
				}
			})
		}
		for range times {
			pass(100 * time.Millisecond)
			cause.happen(s)
			s.ready()
		}
		converse(t, a, b)
		close(done)
		storm.Wait()
		s.post("/links/dbg/reset")
		s.until("all is heard", func() error {
			kinds := kindsOf("dbg", l.all()) // the other link may still find peers that have come and gone
			return unless(slices.Contains(kinds, "reset") && kinds[len(kinds)-1] == "statewaiting", "heard is %q", kinds)
		})
		l.end()
		heard, calm := l.all(), s.link("storm")
		starts, err := story(heard)
		if err != nil {
			t.Error(err)
		}
		for _, e := range heard {
			if e.Type == rest.EventFault || e.Type == rest.EventLinkAdded || e.Type == rest.EventLinkRemoved || e.Type == rest.EventLinkChanged {
				t.Errorf("it is told of %+v", e)
			}
		}
		t.Logf("%d events in %d streams of %d hubs", len(heard), l.streams, starts)
		if !cause.replace {
			if starts != times+1 {
				t.Errorf("it is told of %d hubs, and there were %d", starts, times+1)
			}
			return
		}
		want := []string{"peer_connecteda", "statehalf", "peer_connectedb", "stateup", "reset", "peer_lefta", "statehalf", "peer_leftb", "statewaiting"}
		if got := kindsOf("dbg", heard); starts != 1 || !slices.Equal(got, want) {
			t.Errorf("there were %d hubs, and of the link whose peers stay is told %q, want %q", starts, got, want)
		}
		connections := 0
		for _, kind := range kindsOf("storm", heard) {
			if kind == "peer_connecteda" || kind == "peer_connectedb" {
				connections++
			}
		}
		// What the wire had seen, and the link had not heard of yet, when the program was replaced, is not told of.
		if counted := calm.Ends["a"].Connections + calm.Ends["b"].Connections; connections > counted || connections < counted/2 {
			t.Errorf("it is told of %d peers that came, and %d are counted", connections, counted)
		}
	})
}

// kindsOf are the events of a link, in short.
func kindsOf(link string, heard []rest.Event) (kinds []string) {
	for _, e := range heard {
		if e.Link == link {
			kinds = append(kinds, string(e.Type)+e.End+string(e.State))
		}
	}
	return kinds
}

// TestEventsOfWhatAnUpgradeChanges has another config read by the program that takes over.
func TestEventsOfWhatAnUpgradeChanges(t *testing.T) {
	s := newService(t, hubBinary, false, "  - {name: stays, a: a, b: b}\n  - {name: goes, a: c, b: d}\n  - {name: rests, a: e, b: f}\n")
	s.start()
	s.ready()
	s.dial("c")
	s.dial("a")
	s.dial("e")
	for _, link := range []string{"goes", "stays", "rests"} {
		s.waitState(link, "half")
	}
	l := s.listen()
	s.write("  - {name: stays, a: a, b: b}\n  - {name: comes, a: g, b: h}\n  - {name: rests, a: e, b: f, disabled: true}\n")
	s.replace()
	s.ready()
	want := []string{
		"peer_left goes a: the connection was lost when the hub was upgraded", "link_removed goes ", "link_added comes ", "state comes waiting",
		"peer_left rests a: the connection was lost when the hub was upgraded", "state rests stopped",
	}
	var got []string
	s.until("all is heard", func() error {
		got = nil
		for _, e := range l.all() {
			text := fmt.Sprint(e.Type, " ", e.Link, " ", e.End, e.State)
			if e.Reason != "" {
				text += ": " + e.Reason
			}
			got = append(got, text)
		}
		return unless(len(got) >= len(want), "heard is %q", got)
	})
	slices.Sort(got[2:])
	slices.Sort(want[2:])
	if !slices.Equal(got, want) {
		t.Errorf("heard is\n%q, want\n%q", got, want)
	}
	if _, err := story(l.all()); err != nil {
		t.Error(err)
	}
}
