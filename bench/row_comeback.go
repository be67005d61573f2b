package main

import (
	"context"
	"slices"
	"time"
)

// comeback is how long it takes until a peer that connects again is heard by the other one, who has stayed. Socat has
// ended by then: what is measured is a new one, to which both connect.
func comeback(times int) row {
	measure := func(ctx context.Context, s *stage, c contender) (got sample, err error) {
		err = s.rig(ctx, c, 1, func(r *rig) error {
			var delays []time.Duration
			var err error
			if c.kind == hub {
				delays, err = r.returns(times)
			} else {
				delays, err = s.restarts(r, c, times)
			}
			slices.Sort(delays)
			got.values = []float64{float64(percentile(delays, 50)) / float64(time.Microsecond)}
			return err
		})
		return got, err
	}
	return row{
		name:  "return of a peer",
		lines: []line{{name: "until its first byte arrives, p50", unit: "µs"}},
		kinds: []kind{hub, socat},
		note: "return of a peer: with the hub, from its connect(2) on, while the other peer stays; socat ends when a peer leaves, " +
			"so there it is from the start of a new one, to which both connect",
		measure: measure,
	}
}

// returns has the right peer come back to a hub.
func (r *rig) returns(times int) ([]time.Duration, error) {
	if err := r.launch(); err != nil {
		return nil, err
	}
	if _, err := r.atOnce(job{left, "Connect", r.way(left)}); err != nil {
		return nil, err
	}
	if err := r.ready(); err != nil {
		return nil, err
	}
	results, err := r.atOnce(
		job{left, "Welcome", Work{Count: times}},
		job{right, "Return", Work{Addresses: r.addresses[right], Count: times}})
	if err != nil {
		return nil, err
	}
	delays := make([]time.Duration, times)
	for i := range delays {
		delays[i] = time.Duration(results[0].Moments[i] - results[1].Moments[i])
	}
	return delays, nil
}

// restarts starts a relay again and again, as often as asked, or as the time of a run allows.
func (s *stage) restarts(r *rig, c contender, times int) (delays []time.Duration, err error) {
	for start := time.Now(); len(delays) < times && time.Since(start) < s.time; {
		if err := r.launch(); err != nil {
			return nil, err
		}
		// The left peer waits in read(2) by the time the right one finds the second socket, which socat makes last.
		results, err := r.atOnce(
			job{left, "ConnectAndWelcome", Work{Addresses: r.addresses[left], Count: 1}},
			job{right, "Return", Work{Addresses: r.addresses[right], Count: 1}})
		if err != nil {
			return nil, err
		}
		delays = append(delays, time.Duration(results[0].Moments[0]-r.launched))
		if err := s.replace(r, c); err != nil {
			return nil, err
		}
	}
	return delays, nil
}

// replace hangs up, ends the relay of a rig and prepares another one.
func (s *stage) replace(r *rig, c contender) error {
	for _, client := range r.clients {
		if err := client.call("HangUp", Work{}, &Result{}); err != nil {
			return err
		}
	}
	fresh, err := s.lay(c, r.links)
	if err != nil {
		return err
	}
	old := r.wires
	r.wires = fresh
	return old.stop()
}
