package main

import (
	"context"
	"fmt"
	"time"
)

// roundTrip is a message of size bytes to the other side and back.
func roundTrip(size int) row {
	lines := []line{{name: "p50", unit: "µs"}, {name: "p99", unit: "µs"}, {name: "relay's CPU per trip", unit: "µs"}}
	measure := func(ctx context.Context, s *stage, c contender) (got sample, err error) {
		err = s.rig(ctx, c, 1, func(r *rig) error {
			if err := r.up(); err != nil {
				return err
			}
			var err error
			got.values, err = r.trips(size, s.time)
			return err
		})
		return got, err
	}
	return row{name: fmt.Sprintf("round trip, %d B", size), lines: lines, kinds: everybody(), measure: measure}
}

// trips warms a link and makes round trips: p50, p99 and the relay's processor time for one, in µs.
func (r *rig) trips(size int, run time.Duration) ([]float64, error) {
	if _, _, err := r.tripsOnce(size, warmUp); err != nil {
		return nil, err
	}
	cpu, result, err := r.tripsOnce(size, run)
	return []float64{
		float64(result.P50) / float64(time.Microsecond),
		float64(result.P99) / float64(time.Microsecond),
		r.each(cpu, float64(result.Count), time.Microsecond),
	}, err
}

func (r *rig) tripsOnce(size int, run time.Duration) (time.Duration, Result, error) {
	cpu, results, err := r.cpuOf(job{right, "Echo", Work{Size: size}}, job{left, "Trip", Work{Size: size, For: run}})
	if err != nil {
		return 0, Result{}, err
	}
	if echoes, trips := results[0].Count, results[1].Count; echoes != trips {
		return 0, Result{}, fmt.Errorf("%d messages were echoed, %d came back", echoes, trips)
	}
	return cpu, results[1], nil
}
