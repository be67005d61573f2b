package supervisor

import (
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/config"
	"serialhub/internal/continuity"
	"serialhub/internal/relay"
	"serialhub/internal/testenv"
)

// startUpgraded runs a supervisor that takes over a link as another one has left it: with peers at these sides, of which the status may not know yet.
func startUpgraded(t *testing.T, was Link, sides []relay.Side) *hub {
	t.Helper()
	testenv.NoDescriptorsLeft(t)
	h := &hub{t: t, dir: testenv.Dir(t), log: &logBuffer{}, ended: make(chan error, 1)}
	log := slog.New(slog.NewTextHandler(h.log, nil))
	store, left, err := continuity.Open(nil, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	c := config.Link{Name: was.Name, A: h.end(was.Name, relay.A), B: h.end(was.Name, relay.B), Restart: always, Absent: config.AbsentDiscard, BufferSize: 1000}
	kept := &continuity.Link{}
	if kept.Stash, err = store.NewLink(was.Name); err != nil {
		t.Fatal(err)
	}
	for _, side := range sides {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fds[1]) })
		kept.FDs = append(kept.FDs, fds[0])
		kept.Labels = append(kept.Labels, label(relay.Part{Side: side, Role: relay.RolePeer, Via: specOf(c.Ends()[side]).Via()}))
	}
	left.Links[was.Name] = kept
	if h.Supervisor, err = New([]config.Link{c}, log, &Past{Store: store, Left: left, Links: []Link{was}}); err != nil {
		t.Fatal(err)
	}
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
	})
	return h
}

// TestEventsOfAnUpgrade tells what has changed since the program before has told of it, and counts sessions as they are heard of.
func TestEventsOfAnUpgrade(t *testing.T) {
	this := &Peer{PID: os.Getpid()}
	for _, test := range []struct {
		what     string
		was      Link
		sides    []relay.Side
		sessions uint64
		want     []string
	}{
		{"both stay", Link{State: LinkUp, Ends: [2]End{{Peer: this}, {Peer: this}}}, bothSides(), 7, nil},
		{"b has just come", Link{State: LinkHalf, Ends: [2]End{{Peer: this}, {}}}, bothSides(), 8, []string{"dbg.b peer_connected", "dbg half>up"}},
		{"both have just come", Link{State: LinkWaiting}, bothSides(), 8, []string{"dbg.a peer_connected", "dbg.b peer_connected", "dbg waiting>up"}},
		{"b is another one", Link{State: LinkUp, Ends: [2]End{{Peer: this}, {Peer: &Peer{PID: 1}}}}, bothSides(), 8,
			[]string{"dbg.b peer_left: " + errUpgraded.Error(), "dbg.b peer_connected"}},
		{"a is lost", Link{State: LinkHalf, Ends: [2]End{{Peer: this}, {}}}, nil, 7, []string{"dbg.a peer_left: " + errUpgraded.Error(), "dbg half>starting", "dbg starting>waiting"}},
	} {
		t.Run(test.what, func(t *testing.T) {
			test.was.Name, test.was.Sessions, test.was.Since = "dbg", 7, time.Now()
			h := startUpgraded(t, test.was, test.sides)
			l := h.listen()
			<-h.adopted
			link := h.wait("dbg", "it runs", func(l Link) bool { return l.Ends[0].State != EndOpening && l.Ends[1].State != EndOpening })
			var got []string
			for _, e := range l.hear() {
				got = append(got, short(e))
			}
			if link.Sessions != test.sessions || !slices.Equal(got, test.want) {
				t.Errorf("%d sessions; heard is %q, want %q", link.Sessions, got, test.want)
			}
		})
	}
}
