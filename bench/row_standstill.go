package main

import (
	"context"
	"errors"
	"syscall"
	"time"
)

// standstill is how long bytes stand still when the hub is replaced while n links are connected: the longest of the round trips that
// cross one of them meanwhile. It is replaced by itself (SIGUSR2), or killed and started again by a service manager, which is this
// program.
func standstill(n int) row {
	measure := func(ctx context.Context, s *stage, c contender) (got sample, err error) {
		upgrade, err := s.standstill(ctx, c, n, func(k *keeper) error { return k.hub.Process.Signal(syscall.SIGUSR2) })
		if err != nil {
			return got, err
		}
		restart, err := s.standstill(ctx, c, n, (*keeper).replace)
		got.values = []float64{upgrade, restart}
		return got, err
	}
	return row{
		name:    "standstill, " + links(n),
		lines:   []line{{name: "over SIGUSR2", unit: "ms"}, {name: "over SIGKILL and a start", unit: "ms"}},
		kinds:   []kind{hub},
		note:    "standstill: the longest round trip while the hub is replaced; a real service manager adds the time that it takes to start a process",
		measure: measure,
	}
}

// standstill is the longest round trip, in ms, while something is done to the hub.
func (s *stage) standstill(ctx context.Context, c contender, n int, do func(*keeper) error) (ms float64, err error) {
	err = s.rig(ctx, c, n, func(r *rig) (err error) {
		k, err := newKeeper(r.dir, r.commands[0])
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, k.close()) }()
		if err := r.connect(); err != nil {
			return err
		}
		done := make(chan error, 1)
		timer := time.AfterFunc(s.time/4, func() { done <- do(k) })
		defer timer.Stop()
		results, err := r.atOnce(job{left, "Trip", Work{Size: 1, For: s.time}}, job{right, "Echo", Work{Size: 1}})
		if err != nil {
			return err
		}
		ms = float64(results[0].Longest) / float64(time.Millisecond)
		return <-done
	})
	return ms, err
}
