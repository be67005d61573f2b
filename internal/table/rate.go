package table

import (
	"time"

	"serialhub/internal/rest"
)

// Rate is how many bytes cross a link in a second.
type Rate struct {
	known bool
	bytes [2]float64 // from a to b, and from b to a
}

func (r Rate) text(way int) string {
	if !r.known {
		return "-"
	}
	return size(uint64(r.bytes[way]+0.5)) + "/s"
}

// Meter measures the rates of links by looking at their counters again and again. It is for one goroutine.
type Meter struct {
	hub    string
	at     time.Time
	before map[string][2]uint64
}

// Look takes what a hub has told at that time, and returns the rates since the look before. A rate is not known of a link that is new, and of
// one whose counters have begun anew, as those of another process do; hub names the process.
func (m *Meter) Look(hub string, at time.Time, links []rest.Link) map[string]Rate {
	seconds := at.Sub(m.at).Seconds()
	rates := make(map[string]Rate, len(links))
	now := make(map[string][2]uint64, len(links))
	for _, link := range links {
		counts := [2]uint64{link.Ends["b"].SentBytes, link.Ends["a"].SentBytes}
		now[link.Name] = counts
		before, known := m.before[link.Name]
		if !known || hub != m.hub || seconds <= 0 || counts[0] < before[0] || counts[1] < before[1] {
			continue
		}
		rate := Rate{known: true}
		for way := range counts {
			rate.bytes[way] = float64(counts[way]-before[way]) / seconds
		}
		rates[link.Name] = rate
	}
	m.hub, m.at, m.before = hub, at, now
	return rates
}
