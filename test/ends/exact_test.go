package ends

import (
	"testing"
	"time"

	"serialhub/internal/relay"
	"serialhub/internal/supervisor"
)

// Between two peers no byte is lost, repeated or changed, and the counters say how many they were.
func TestExactness(t *testing.T) {
	over(t, plainPairs(), func(t *testing.T, p pair) {
		h := startHub(t, p, eager)
		a, b := h.up()
		size := 2 << 20
		if p.tty() {
			size = 300 << 10
		}
		var talks []func() error
		for i, way := range []struct {
			what     string
			from, to peer
		}{{"from a to b", a, b}, {"from b to a", b, a}} {
			way.from.SetDeadline(time.Now().Add(patience))
			talks = append(talks,
				func() error { return whatFailed(way.what+", saying", say(way.from, newStream(uint64(i)), size)) },
				func() error { return whatFailed(way.what+", hearing", hear(way.to, newStream(uint64(i)), size)) })
		}
		if err := together(talks...); err != nil {
			t.Fatal(err)
		}
		h.wait("has counted everything", func(l supervisor.Link) bool {
			right := true
			for _, e := range l.Ends {
				right = right && e.Received == uint64(size) && e.Sent == uint64(size) && e.Discarded == 0
			}
			return right
		})
		if l := h.link(); l.Ends[relay.A].Connections != 1 || l.Ends[relay.B].Connections != 1 {
			t.Errorf("a peer has been connected more than once: %s", describe(l))
		}
		for side, e := range h.link().Ends {
			if tls := p.a.tls || p.b.tls; e.Copied != tls {
				t.Errorf("end %s is copied: %v", relay.Side(side), e.Copied)
			}
		}
	})
}
