package main

import (
	"context"
	"time"
)

// busy is bulk over n links at once, and how evenly they share it.
func busy(n, size int) row {
	lines := []line{
		{name: "all together", unit: "GB/s", more: true},
		{name: "relay's CPU", unit: "ms/GB"},
		{name: "slowest link ÷ mean", more: true},
		{name: "Jain's index of fairness", more: true},
	}
	measure := func(ctx context.Context, s *stage, c contender) (got sample, err error) {
		err = s.rig(ctx, c, n, func(r *rig) error {
			f, err := r.flow(size, s.time, job{left, "SendAll", Work{}}, job{right, "ReceiveAll", Work{}})
			if err != nil {
				return err
			}
			got.values = []float64{
				f.bytes / gigabyte / f.seconds,
				r.each(f.cpu, f.bytes/gigabyte, time.Millisecond),
				slowestShare(f.byLink),
				jain(f.byLink),
			}
			return nil
		})
		return got, err
	}
	return row{name: links(n) + " busy at once", lines: lines, kinds: everybody(), measure: measure}
}
