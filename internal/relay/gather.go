package relay

import "time"

const (
	// restTime is how long a lane that carries a stream of small messages is left alone, so that some gather.
	restTime = 50 * time.Microsecond
	// little is how few bytes a wake-up moves in such a stream: fewer than a terminal or a serial port has when it has all that it can.
	little = 4095
	// patient is how many wake-ups in a row have to move little before the lane rests.
	patient = 4
	// worth is how many bytes have to gather in a rest, or twice as many as without, or resting is given up for a while.
	worth = 128
	// giveUp is how many wake-ups long.
	giveUp = 16
)

// gather decides when a lane rests. A program that writes small messages without waiting for answers, such as a UART that
// sends a text byte by byte, would wake the loop for each of them; that is most of what they cost. Messages that are
// answered are never held up: their lanes take turns.
type gather struct {
	wakes  int // in a row that moved little, with nothing the other way; negative while resting is given up
	rested bool
	before int // what was moved before the rest
}

// interrupt notes that something crossed the other way.
func (g *gather) interrupt() { *g = gather{wakes: min(g.wakes, 0)} }

// next notes that a wake-up has moved n bytes, and tells whether the lane shall rest now.
func (g *gather) next(n int) bool {
	wasted := g.rested && n < worth && n < 2*g.before
	g.rested = false
	switch {
	case wasted:
		g.wakes = -giveUp
	case n == 0 || n >= little:
		g.wakes = 0
	default:
		g.wakes++
	}
	if g.wakes >= patient {
		g.rested, g.before = true, n
	}
	return g.rested
}
