package main

import (
	"context"
	"fmt"
	"math"
	"time"
)

// memory is what n connected links take, each of which has carried something both ways.
func memory(n, socats int) row {
	lines := []line{{name: "PSS per link, all", unit: "KiB"}, {name: "PSS per link, beyond a hub without links", unit: "KiB"}}
	measure := func(ctx context.Context, s *stage, c contender) (got sample, err error) {
		count, empty := n, math.NaN()
		if c.kind == socat {
			count = min(n, socats)
		} else if empty, err = emptyHub(ctx, s, c); err != nil {
			return got, err
		}
		err = s.rig(ctx, c, count, func(r *rig) error {
			if err := r.up(); err != nil {
				return err
			}
			if err := r.used(); err != nil {
				return err
			}
			if c.kind != socat {
				idle(ctx)
			}
			pss, err := r.pss()
			got.values = []float64{float64(pss) / float64(count) / 1024, (float64(pss) - empty) / float64(count) / 1024}
			return err
		})
		return got, err
	}
	r := row{name: "memory, " + links(n), lines: lines, kinds: []kind{hub, socat}, measure: measure}
	if socats < n {
		r.note = fmt.Sprintf("%s: socat is one process per link; %d of them were measured", r.name, socats)
	}
	return r
}

// idle lets a hub be without work for long enough that it gives back the memory it has no use for.
func idle(ctx context.Context) {
	select {
	case <-time.After(3 * time.Second):
	case <-ctx.Done():
	}
}

// used moves 64 KiB both ways over each link.
func (r *rig) used() error {
	w := Work{Size: 64 << 10}
	if _, err := r.atOnce(job{left, "Give", w}, job{right, "Take", w}); err != nil {
		return err
	}
	_, err := r.atOnce(job{right, "Give", w}, job{left, "Take", w})
	return err
}

// emptyHub is the PSS, in bytes, of a hub that has no links and answers.
func emptyHub(ctx context.Context, s *stage, c contender) (bytes float64, err error) {
	err = s.rig(ctx, c, 0, func(r *rig) error {
		if err := r.launch(); err != nil {
			return err
		}
		if err := r.ready(); err != nil {
			return err
		}
		pss, err := r.pss()
		bytes = float64(pss)
		return err
	})
	return bytes, err
}
