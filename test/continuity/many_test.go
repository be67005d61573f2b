package continuity

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestManyLinks interrupts a hub of many links while bytes move over all of them.
func TestManyLinks(t *testing.T) {
	links, times, size := 200, sized(20, 3), sized[int64](4<<20, 512<<10)
	var text strings.Builder
	for i := range links {
		fmt.Fprintf(&text, "  - {name: link-%d, a: a%d, b: b%[1]d}\n", i, i)
	}
	each(t, interruptions(), text.String(), func(t *testing.T, s *service, cause interruption) {
		var flows []*flow
		p := newProgress(2*size*int64(links), times)
		for i := range links {
			flows = append(flows, startFlow(s.dial(fmt.Sprint("a", i)), s.dial(fmt.Sprint("b", i)), size, p))
		}
		for i := range links { // a SIGKILL right after accept(2) costs a peer its connection
			s.waitState(fmt.Sprintf("link-%d", i), "up")
		}
		inTime := 0
		for range times {
			p.await(t)
			for _, f := range flows {
				if !f.done() {
					inTime++
				}
			}
			cause.happen(s)
		}
		var stood []time.Duration
		var failed error
		for i, f := range flows {
			standstill, err := f.wait()
			if err != nil {
				failed = errors.Join(failed, fmt.Errorf("link %d: %w", i, err))
			}
			stood = append(stood, standstill)
		}
		if failed != nil {
			t.Fatal(failed)
		}
		slices.Sort(stood)
		t.Logf("%d of %d flows were interrupted; nothing moved for up to %v; the longest standstill of each was %v in the middle and %v at most",
			inTime, links*times, p.stoodStill(), stood[links/2], stood[links-1])
		s.ready()
		for i := range links {
			s.waitState(fmt.Sprintf("link-%d", i), "up")
		}
	})
}
