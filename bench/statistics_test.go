package main

import (
	"math"
	"testing"
	"time"
)

var nan = math.NaN()

func TestPercentile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	tests := []struct {
		sorted []time.Duration
		p      int
		want   time.Duration
	}{
		{nil, 50, 0},
		{[]time.Duration{7}, 99, 7},
		{[]time.Duration{1, 2}, 50, 1},
		{[]time.Duration{1, 2, 3}, 50, 2},
		{hundred, 50, 50},
		{hundred, 99, 99},
	}
	for _, test := range tests {
		if got := percentile(test.sorted, test.p); got != test.want {
			t.Errorf("p%d of %v is %v, want %v", test.p, test.sorted, got, test.want)
		}
	}
}

func TestSpread(t *testing.T) {
	tests := []struct {
		values []float64
		want   spread
		ok     bool
	}{
		{nil, spread{}, false},
		{[]float64{nan, nan}, spread{}, false},
		{[]float64{3, nan, 1, 2}, spread{2, 1, 3}, true},
		{[]float64{4, 1, 3, 2}, spread{2.5, 1, 4}, true},
	}
	for _, test := range tests {
		if got, ok := spreadOf(test.values); got != test.want || ok != test.ok {
			t.Errorf("the spread of %v is %v, %v; want %v, %v", test.values, got, ok, test.want, test.ok)
		}
	}
}

// TestRatiosStayInTheRound has a machine that is ten times slower in the second round.
func TestRatiosStayInTheRound(t *testing.T) {
	got, ok := spreadOf(ratios([]float64{1, 10, 2, nan, 5}, []float64{2, 20, 4, 1, 0}))
	if want := (spread{0.5, 0.5, 0.5}); got != want || !ok {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFairness(t *testing.T) {
	tests := []struct {
		shares        []int64
		slowest, jain float64
	}{
		{[]int64{5, 5, 5, 5}, 1, 1},
		{[]int64{0, 0, 0, 8}, 0, 0.25},
		{[]int64{1, 3}, 0.5, 0.8},
	}
	for _, test := range tests {
		if got := slowestShare(test.shares); got != test.slowest {
			t.Errorf("of %v, the slowest has %v of the mean, want %v", test.shares, got, test.slowest)
		}
		if got := jain(test.shares); got != test.jain {
			t.Errorf("Jain's index of %v is %v, want %v", test.shares, got, test.jain)
		}
	}
}
