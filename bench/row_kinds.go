package main

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// kindsTable is the name of the table by kind of end.
const kindsTable = "kinds of ends"

// kinds are a row for each kind of end: paired with a unix socket that listens, and some with themselves.
func kinds() (list []row) {
	for _, e := range []end{
		{unixSocket, false}, {unixSocket, true}, {tcp, false}, {tcp, true}, {encrypted, false}, {encrypted, true},
		{terminal, false}, {terminal, true},
	} {
		list = append(list, ofKind(e.String(), end{}, e))
	}
	for _, m := range []medium{tcp, encrypted, terminal} {
		e := end{medium: m}
		list = append(list, ofKind(e.String()+", both", e, e))
	}
	return list
}

// ofKind is the work that tells kinds of ends apart, between two of them. Where they are the same, only one direction is measured. A run takes
// a quarter of the usual time: there are many.
func ofKind(name string, a, b end) row {
	lines := []line{
		{name: "round trip of 16 B, p50", unit: "µs"},
		{name: "p99", unit: "µs"},
		{name: "CPU for it", unit: "µs"},
		{name: "bulk to it", unit: "GB/s", more: true},
		{name: "CPU", unit: "ms/GB"},
		{name: "bulk from it", unit: "GB/s", more: true},
		{name: "CPU", unit: "ms/GB"},
	}
	measure := func(ctx context.Context, s *stage, c contender) (got sample, err error) {
		err = s.rig(ctx, c.between(a, b), 1, func(r *rig) error {
			if err := r.up(); err != nil {
				return err
			}
			if err := r.joined(); err != nil {
				return err
			}
			trips, err := r.trips(16, s.time/4)
			if err != nil {
				return err
			}
			to, err := r.steady(bulkWrite, s.time/4, job{left, "Send", Work{}}, job{right, "Receive", Work{}})
			if err != nil {
				return err
			}
			from := []float64{math.NaN(), math.NaN()}
			if a != b {
				f, err := r.steady(bulkWrite, s.time/4, job{right, "Send", Work{}}, job{left, "Receive", Work{}})
				if err != nil {
					return err
				}
				from = r.rate(f)
			}
			got.values = slices.Concat(trips, r.rate(to), from)
			return nil
		})
		return got, err
	}
	return row{table: kindsTable, name: name, lines: lines, kinds: everybody(), measure: measure}
}

// rivalsTable is the name of the table that has ser2net beside the others, with what it is made for.
const rivalsTable = "joined by each"

// rivals are a row for each pair of ends that ser2net joins as well.
func rivals() (list []row) {
	for _, pair := range [][2]end{
		{{unixSocket, false}, {unixSocket, true}}, {{tcp, false}, {tcp, true}}, {{tcp, false}, {terminal, true}},
	} {
		r := ofKind(fmt.Sprintf("%v, %v", pair[0], pair[1]), pair[0], pair[1])
		r.table, r.kinds = rivalsTable, append(everybody(), ser2net)
		list = append(list, r)
	}
	list[0].note = "ser2net is measured where it is installed; with chardelay: false"
	return list
}
