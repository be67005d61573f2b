package continuity

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestKindsOutliveTheHub interrupts the hub at random moments while bytes flow both ways over links of all kinds. Whoever is at their ends
// stays connected, and every byte arrives once.
func TestKindsOutliveTheHub(t *testing.T) {
	t.Run("all at once", func(t *testing.T) { flowOver(t, pairings(), sized(50, 10), sized[int64](40<<20, 2<<20)) })
	if !*full {
		return
	}
	for _, one := range pairings() {
		t.Run(one.String(), func(t *testing.T) { flowOver(t, []pairing{one}, 50, 20<<20) })
	}
}

// flowOver lets bytes flow over links while the hub is interrupted so many times, in each way.
func flowOver(t *testing.T, pairs []pairing, times int, size int64) {
	for _, cause := range interruptions() {
		t.Run(cause.name, func(t *testing.T) {
			s := newService(t, hubBinary, cause.managed, "  []\n")
			var text strings.Builder
			var places [][2]place
			var sizes []int64
			all := int64(0)
			for i, pair := range pairs {
				at, line := pair.make(s, fmt.Sprintf("link-%d", i))
				places = append(places, at)
				text.WriteString(line)
				sizes = append(sizes, size*min(pair[0].size, pair[1].size))
				all += 2 * sizes[i]
			}
			s.write(text.String())
			s.start()
			s.ready()
			p := newProgress(all, times)
			var flows []*flow
			var before []linkStatus
			for i, at := range places {
				a, b := at[0].join(), at[1].join()
				before = append(before, s.waitState(fmt.Sprintf("link-%d", i), "up"))
				flows = append(flows, startFlow(a, b, sizes[i], p))
			}
			inTime := make([]int, len(pairs))
			for range times {
				if rand.IntN(4) == 0 { // meet a process that has only just begun
					pass(time.Duration(rand.Int64N(int64(30 * time.Millisecond))))
				} else {
					p.await(t)
				}
				for i, f := range flows {
					if !f.done() {
						inTime[i]++
					}
				}
				cause.happen(s)
			}
			for i, pair := range pairs {
				standstill, err := flows[i].wait()
				if err != nil {
					t.Errorf("%v: %v", pair, err)
					continue
				}
				t.Logf("%v: %d of %d times in the midst of it, the longest standstill was %v", pair, inTime[i], times, standstill)
				checkStays(t, s, cause, before[i], fmt.Sprintf("link-%d", i))
				for _, at := range places[i] {
					if at.listen != nil {
						at.listen.noMore()
					}
				}
			}
		})
	}
}

// checkStays checks that a link is as it was: with the same peers, which have not come again.
func checkStays(t *testing.T, s *service, cause interruption, before linkStatus, name string) {
	t.Helper()
	after := s.waitState(name, "up")
	if after.Sessions != 1 || after.Failures > 0 || cause.replace && !after.Since.Equal(before.Since) {
		t.Errorf("the link was %+v and is %+v", before, after)
	}
	for name, end := range after.Ends {
		was := before.Ends[name]
		if cause.replace && !end.Since.Equal(was.Since) || end.Connections != 1 || end.Peer == nil || *end.Peer != *was.Peer || end.DiscardedBytes > 0 {
			t.Errorf("end %s was %+v and is %+v", name, was, end)
		}
	}
}
