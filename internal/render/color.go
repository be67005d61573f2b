package render

import "serialhub/internal/relay"

// colors are the sequences, of ECMA-48, that colour a terminal. Without colours all are empty. They only repeat what the text says.
type colors struct {
	side   [2]string // what comes from each side
	dim    string    // what stands beside it
	missed string
	off    string
}

func palette(color bool) colors {
	if !color {
		return colors{}
	}
	return colors{
		side:   [2]string{relay.A: "\x1b[36m", relay.B: "\x1b[33m"},
		dim:    "\x1b[2m",
		missed: "\x1b[1;31m",
		off:    "\x1b[0m",
	}
}
