package metrics

import (
	"slices"

	dto "github.com/prometheus/client_model/go"

	"serialhub/internal/relay"
	"serialhub/internal/supervisor"
)

const (
	states   = 7
	gauges   = states + 2 // of a link: its state, and a peer at each end
	counters = 3 + 2*5    // of a link, and of each end
	both     = gauges + counters
)

// series are those of a link, with their labels, in one piece of memory.
type series struct {
	name  dto.LabelPair
	link  [1]*dto.LabelPair // the labels of a series, sorted by name
	state [states][2]*dto.LabelPair
	end   [2][2]*dto.LabelPair

	metrics  [both]dto.Metric // those that are in use come first, as in what follows
	values   [both]float64
	gauges   [gauges]dto.Gauge
	counters [counters]dto.Counter
	used     struct{ metrics, gauges, counters int }
}

// gauge adds a series whose value is 0 or 1.
func (s *series) gauge(to *dto.MetricFamily, labels []*dto.LabelPair, is bool) {
	gauge := &s.gauges[s.used.gauges]
	s.used.gauges++
	metric, value := s.add(to, labels)
	metric.Gauge, gauge.Value, *value = gauge, value, truth(is)
}

// counter adds a series that counts.
func (s *series) counter(to *dto.MetricFamily, labels []*dto.LabelPair, n uint64) {
	counter := &s.counters[s.used.counters]
	s.used.counters++
	metric, value := s.add(to, labels)
	metric.Counter, counter.Value, *value = counter, value, float64(n)
}

func (s *series) add(to *dto.MetricFamily, labels []*dto.LabelPair) (*dto.Metric, *float64) {
	metric, value := &s.metrics[s.used.metrics], &s.values[s.used.metrics]
	s.used.metrics++
	metric.Label = labels
	to.Metric = append(to.Metric, metric)
	return metric, value
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// labels are those that the series of all links share.
type labels struct {
	states []supervisor.LinkState // sorted
	state  [states]dto.LabelPair
	end    [2]dto.LabelPair
	link   string
}

func newLabels() *labels {
	l := &labels{states: supervisor.LinkStates(), link: "link"}
	slices.Sort(l.states)
	for i, state := range l.states {
		setLabel(&l.state[i], "state", string(state))
	}
	for side := range l.end {
		setLabel(&l.end[side], "end", relay.Side(side).String())
	}
	return l
}

func setLabel(pair *dto.LabelPair, name, value string) { pair.Name, pair.Value = &name, &value }

// seriesOf makes room for the series of a link.
func (l *labels) seriesOf(link string) *series {
	s := new(series)
	s.name.Name, s.name.Value = &l.link, &link
	s.link[0] = &s.name
	for i := range s.state {
		s.state[i] = [2]*dto.LabelPair{&s.name, &l.state[i]}
	}
	for side := range s.end {
		s.end[side] = [2]*dto.LabelPair{&l.end[side], &s.name}
	}
	return s
}
