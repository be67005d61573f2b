package watch_test

import (
	"testing"
	"time"

	"serialhub/internal/relay"
)

// TestClockIsSet has each piece dated by the clock on the wall, also when that has been set, or has gone on while the machine slept.
func TestClockIsSet(t *testing.T) {
	tape := tape(t, 1000)
	start := time.Now()
	for _, step := range []time.Duration{0, time.Second, 8 * time.Hour, -10 * 365 * 24 * time.Hour, time.Minute} {
		at := start.Add(step).Round(0)
		tape.SawAt(at, relay.A, []byte("x"))
		r := tape.Last(1)
		events, err := r.Next(t.Context())
		if err != nil || len(events) != 1 {
			t.Fatalf("%v, %v", events, err)
		}
		if late := events[0].At.Sub(at).Abs(); late > time.Millisecond {
			t.Errorf("what came at %v is dated %v", at, events[0].At)
		}
		r.Close()
	}
}
