package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// size says how much the rows do.
type size struct {
	memory  []int // links
	busy    int   // links
	returns int
	start   []int // links
	replace []int // links
	operate int   // links
	most    int   // links, if the limit of descriptors allows as many
	socats  int   // processes at most
}

func fullSize() size {
	return size{memory: []int{1, 100, 1000}, busy: 100, returns: 200, start: []int{100, 1000}, replace: []int{1, 100, 1000}, operate: 100, most: 10_000, socats: 100}
}

// rows are what is measured, in the order of the table.
func rows(s size) []row {
	list := []row{
		roundTrip(1), roundTrip(16),
		bulk("bulk one way", job{left, "Send", Work{}}, job{right, "Receive", Work{}}),
		bulk("bulk both ways", job{left, "Send", Work{}}, job{right, "Receive", Work{}},
			job{right, "Send", Work{}}, job{left, "Receive", Work{}}),
		stream(16),
		busy(s.busy, 64<<10),
	}
	for _, n := range s.memory {
		list = append(list, memory(n, s.socats))
	}
	list = append(list, comeback(s.returns))
	for _, n := range s.start {
		list = append(list, start(n))
	}
	list = append(list, startMost(s.most))
	for i, n := range s.replace {
		again := standstill(n)
		if i > 0 {
			again.note = "" // it is the same
		}
		list = append(list, again)
	}
	return slices.Concat(list, kinds(), rivals(), watched(), operated(s.operate))
}

// everybody takes part in rows that need nothing but a wire.
func everybody() []kind { return []kind{hub, socat, direct} }

const (
	warmUp    = 50 * time.Millisecond // of a measured run; what it does is not counted
	gigabyte  = 1e9
	bulkWrite = 64 << 10
)

// each is the relays' processor time for each of count things, in units of a duration. Without relays, it is nothing
// that could be measured.
func (r *rig) each(cpu time.Duration, count float64, unit time.Duration) float64 {
	if len(r.relays) == 0 {
		return math.NaN()
	}
	return float64(cpu) / count / float64(unit)
}

// compareBytes returns an error if what was received on any link is not as much as was sent.
func compareBytes(sent, received Result) error {
	if !slices.Equal(sent.Bytes, received.Bytes) {
		return fmt.Errorf("bytes were lost or added: by link, %d were sent and %d received", sent.Bytes, received.Bytes)
	}
	return nil
}

func total(bytes []int64) (sum int64) {
	for _, n := range bytes {
		sum += n
	}
	return sum
}

// thousands writes a count with commas.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

func links(n int) string {
	if n == 1 {
		return "1 link"
	}
	return thousands(n) + " links"
}
