package metrics

import (
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"

	"serialhub/internal/supervisor"
)

// linkFamilies are the series of links, by the names of the series. They are the links as they are now, and nothing is kept: a link that is gone has
// no series any more, and one that was renamed has them under its new name.
func linkFamilies(list []supervisor.Link) []*dto.MetricFamily {
	links, shared := unambiguous(list), newLabels()
	gauge := func(name, help string, perLink int) *dto.MetricFamily {
		return family(dto.MetricType_GAUGE, name, help, perLink*len(links))
	}
	counter := func(name, help string, perLink int) *dto.MetricFamily {
		return family(dto.MetricType_COUNTER, name, help, perLink*len(links))
	}
	state := gauge("serialhub_link_state", "1 for the state that the link is in, 0 for each of the others.", states)
	sessions := counter("serialhub_link_sessions_total", "How often both ends of the link have become connected.", 1)
	resets := counter("serialhub_link_resets_total", "How often the link, or one of its ends, was reset.", 1)
	failures := counter("serialhub_link_failures_total", "How often the link, or one of its ends, has failed.", 1)

	connected := gauge("serialhub_end_connected", "1 if a peer is connected to the end, else 0.", 2)
	connections := counter("serialhub_end_connections_total", "Peers that have been connected to the end.", 2)
	rejected := counter("serialhub_end_rejected_total", "Peers that were turned away from the end, because another one was there or because they may not connect.", 2)
	received := counter("serialhub_end_received_bytes_total", "Bytes that came from the peers of the end.", 2)
	sent := counter("serialhub_end_sent_bytes_total", "Bytes that went to the peers of the end.", 2)
	discarded := counter("serialhub_end_discarded_bytes_total", "Bytes that came from the peers of the end and were dropped, because nobody was there to take them.", 2)

	all := make([]*series, len(links))
	for i, l := range links {
		s := shared.seriesOf(l.Name)
		all[i] = s
		for n, name := range shared.states {
			s.gauge(state, s.state[n][:], l.State == name)
		}
		s.counter(sessions, s.link[:], l.Sessions)
		s.counter(resets, s.link[:], l.Resets)
		s.counter(failures, s.link[:], l.Failures)
	}
	for side := range shared.end {
		for i, l := range links {
			s, end := all[i], &l.Ends[side]
			labels := s.end[side][:]
			s.gauge(connected, labels, end.Peer != nil)
			s.counter(connections, labels, end.Connections)
			s.counter(rejected, labels, end.Rejected)
			s.counter(received, labels, end.Received)
			s.counter(sent, labels, end.Sent)
			s.counter(discarded, labels, end.Discarded)
		}
	}
	return []*dto.MetricFamily{state, sessions, resets, failures, connected, connections, rejected, received, sent, discarded}
}

func family(kind dto.MetricType, name, help string, room int) *dto.MetricFamily {
	return &dto.MetricFamily{Name: &name, Help: &help, Type: &kind, Metric: make([]*dto.Metric, 0, room)}
}

// unambiguous are the links in the order of their names. While a reload renames links, two may have one name for a moment. Neither is
// shown then: Prometheus gets over a scrape without them, but a counter that is another link's would be taken for what has happened.
func unambiguous(links []supervisor.Link) []*supervisor.Link {
	list := make([]*supervisor.Link, len(links))
	for i := range links {
		list[i] = &links[i]
	}
	slices.SortFunc(list, func(a, b *supervisor.Link) int { return strings.Compare(a.Name, b.Name) })
	clear := list[:0]
	for first, next := 0, 0; first < len(list); first = next {
		for next = first + 1; next < len(list) && list[next].Name == list[first].Name; {
			next++
		}
		if next == first+1 {
			clear = append(clear, list[first])
		}
	}
	return clear
}
