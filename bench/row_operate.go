package main

import (
	"context"
	"math"
	"slices"
	"time"
)

// unasked is the row of the table about operating a hub with which the others are compared.
const unasked = "nobody asks"

// operateTable is the name of that table.
func operateTable(n int) string { return "operate " + links(n) }

// operated are a row for each way to look after a hub of n links.
func operated(n int) []row {
	list := []row{
		askedBy(n, unasked, ""),
		askedBy(n, "GET /metrics, 10 a second", "/metrics"),
		askedBy(n, "GET /links, 10 a second", "/links"),
	}
	list[0].kinds = everybody()
	return list
}

// askedBy is what round trips on one of n links take while somebody asks the hub for a path ten times a second, and what an answer takes. A run
// takes three times as long as usual, so that it has enough of them.
func askedBy(n int, name, path string) row {
	lines := []line{
		{name: "round trip of 16 B, p50", unit: "µs"},
		{name: "p99", unit: "µs"},
		{name: "CPU for it", unit: "µs"},
		{name: "memory (PSS) afterwards", unit: "MiB"},
		{name: "an answer takes", unit: "ms"},
	}
	measure := func(ctx context.Context, s *stage, c contender) (got sample, err error) {
		err = s.rig(ctx, c, n, func(r *rig) error {
			if err := r.up(); err != nil {
				return err
			}
			if err := r.joined(); err != nil {
				return err
			}
			var trips []float64
			took, err := r.ask(path, 100*time.Millisecond, func() (err error) {
				trips, err = r.trips(16, 3*s.time)
				return err
			})
			if err != nil {
				return err
			}
			memory := math.NaN()
			if len(r.relays) > 0 {
				pss, err := r.pss()
				if err != nil {
					return err
				}
				memory = float64(pss) / (1 << 20)
			}
			got.values = slices.Concat(trips, []float64{memory, took})
			return nil
		})
		return got, err
	}
	return row{table: operateTable(n), name: name, base: unasked, lines: lines, kinds: []kind{hub}, measure: measure}
}
