package main

import (
	"context"
	"math"
	"slices"
)

// watchTable is the name of the table about what it costs to watch a link.
const watchTable = "watching a link"

// nobody is the row of that table with which the others are compared.
const nobody = "nobody watches"

// watched are a row for each way to watch a link.
func watched() []row {
	// As much as fits into memory, which is where the files are.
	const transcript = `transcript: {file: "{link}.log", max_size: 16MiB, keep: 1, compress: none, format: `
	list := []row{
		watchedBy(nobody, "", watchers{}),
		watchedBy("scrollback of 64 KiB", "scrollback: 64KiB", watchers{}),
		watchedBy("1 tap, raw", "", watchers{count: 1, format: "raw"}),
		watchedBy("10 taps, raw", "", watchers{count: 10, format: "raw"}),
		watchedBy("1 tap, hex", "", watchers{count: 1, format: "hex"}),
		watchedBy("1 tap that does not read", "", watchers{count: 1, format: "raw", stuck: true}),
		watchedBy("transcript, text", transcript+"text}", watchers{}),
		watchedBy("transcript, hex", transcript+"hex}", watchers{}),
	}
	list[0].kinds = everybody()
	return list
}

// watchedBy is the work of a link of two unix sockets with more keys in its config, while somebody watches. A run takes half of the usual time.
func watchedBy(name, keys string, w watchers) row {
	lines := []line{
		{name: "round trip of 16 B, p50", unit: "µs"},
		{name: "p99", unit: "µs"},
		{name: "CPU for it", unit: "µs"},
		{name: "bulk", unit: "GB/s", more: true},
		{name: "CPU", unit: "ms/GB"},
		{name: "seen by each tap", unit: "%", more: true},
	}
	measure := func(ctx context.Context, s *stage, c contender) (got sample, err error) {
		err = s.rig(ctx, c.with(keys), 1, func(r *rig) error {
			if err := r.up(); err != nil {
				return err
			}
			if err := r.joined(); err != nil {
				return err
			}
			return r.watch(w, func(seen func() int64) error {
				trips, err := r.trips(16, s.time/2)
				if err != nil {
					return err
				}
				jobs := []job{{left, "Send", Work{}}, {right, "Receive", Work{}}}
				if _, err := r.flowOnce(bulkWrite, warmUp, jobs); err != nil {
					return err
				}
				before := seen()
				f, err := r.flowOnce(bulkWrite, s.time/2, jobs)
				share := math.NaN()
				if w.format == "raw" && !w.stuck {
					share = 100 * float64(seen()-before) / float64(w.count) / f.bytes
				}
				got.values = slices.Concat(trips, r.rate(f), []float64{share})
				return err
			})
		})
		return got, err
	}
	return row{table: watchTable, name: name, base: nobody, lines: lines, kinds: []kind{hub}, measure: measure}
}
