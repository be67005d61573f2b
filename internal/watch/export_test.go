package watch

import (
	"time"

	"serialhub/internal/relay"
)

// SawAt is Saw at a time of the test's choice.
func (t *Tape) SawAt(now time.Time, side relay.Side, data []byte) { t.saw(now, side, data, 0) }
