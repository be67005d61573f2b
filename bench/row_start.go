package main

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// start is the time from the hub's exec until n links have both ends connected, the hub says that it is ready, and a
// byte has crossed each.
func start(n int) row {
	measure := func(ctx context.Context, s *stage, c contender) (got sample, err error) {
		took, err := s.start(ctx, c, n)
		got.values = []float64{took}
		return got, err
	}
	return row{name: "start, " + links(n), lines: startLines(), kinds: []kind{hub}, measure: measure}
}

func startLines() []line {
	return []line{{name: "from exec until each has carried a byte", unit: "ms"}}
}

// startMost is start with as many links as the limit of descriptors allows, and no more than most.
func startMost(most int) row {
	known := map[string]capacity{} // by contender
	measure := func(ctx context.Context, s *stage, c contender) (got sample, err error) {
		room, ok := known[c.name]
		if !ok {
			if room, err = s.capacity(ctx, c, most); err != nil {
				return got, err
			}
			known[c.name] = room
		}
		took, err := s.start(ctx, c, room.links)
		got.values = []float64{took, float64(room.links)}
		got.note = fmt.Sprintf("start, as many links as fit: %s for %s, which needs %d descriptors for each; a process may have %s",
			links(room.links), c.name, room.each, thousands(room.limit))
		return got, err
	}
	lines := append(startLines(), line{name: "how many", unit: "links", more: true})
	return row{name: "start, as many links as fit", lines: lines, kinds: []kind{hub}, measure: measure}
}

// start measures one start, in milliseconds.
func (s *stage) start(ctx context.Context, c contender, n int) (took float64, err error) {
	err = s.rig(ctx, c, n, func(r *rig) error {
		if err := r.up(); err != nil {
			return err
		}
		results, err := r.atOnce(job{left, "Give", Work{Size: 1}}, job{right, "Take", Work{Size: 1}})
		took = float64(results[1].Ended-r.launched) / float64(time.Millisecond)
		return err
	})
	return took, err
}

// capacity is how many links a hub has room for.
type capacity struct {
	links int
	each  int // descriptors
	limit int // of descriptors in a process
}

// capacity counts the descriptors of a few links, and computes how many more there is room for.
func (s *stage) capacity(ctx context.Context, c contender, most int) (capacity, error) {
	const few, spare = 10, 100
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return capacity{}, err
	}
	var open [2]int
	for i := range open {
		err := s.rig(ctx, c, few*(i+1), func(r *rig) (err error) {
			if err = r.up(); err == nil {
				if err = r.used(); err == nil {
					open[i], err = r.relays[0].descriptors()
				}
			}
			return err
		})
		if err != nil {
			return capacity{}, err
		}
	}
	each := max(1, (open[1]-open[0])/few)
	most = min(most, int((limit.Max-spare)/uint64(each)))
	return capacity{links: most, each: each, limit: int(limit.Max)}, nil
}
