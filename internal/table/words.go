package table

import (
	"fmt"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"

	"serialhub/internal/rest"
)

// Sequences of ECMA-48.
const (
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	cyan   = "\x1b[36m"
	off    = "\x1b[0m"
)

func stateColor(state rest.LinkState) string {
	switch state {
	case rest.LinkUp:
		return green
	case rest.LinkHalf:
		return yellow
	case rest.LinkRetrying, rest.LinkFailed:
		return red
	case rest.LinkStopped:
		return dim
	default:
		return cyan
	}
}

// paint gives a text a colour, if there are colours.
func (s Style) paint(color, text string) string {
	if !s.Color || color == "" || text == "" {
		return text
	}
	return color + text + off
}

// Alarm is a line that is to be seen.
func (s Style) Alarm(text string) string { return s.paint(red, cut(text, s.Width)) }

// age says in as few letters as possible how long something has lasted. Clocks of two machines may differ, so it may be less than nothing.
func age(d time.Duration) string {
	switch {
	case d < time.Second:
		return "0s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
}

// size is a number of bytes as people read it.
func size(bytes uint64) string { return humanize.IBytes(bytes) }

func count(n int) string { return strconv.Itoa(n) }

// plural counts things.
func plural[N int | uint64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
