package main

import (
	"math"
	"slices"
	"time"
)

// percentile is the value that p of 100 sorted values do not exceed; 0 of none.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)*p+99)/100-1]
}

// spread is where values lie.
type spread struct{ median, low, high float64 }

// spreadOf leaves out what is not a number. It returns false if nothing is left.
func spreadOf(values []float64) (spread, bool) {
	sorted := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	if len(sorted) == 0 {
		return spread{}, false
	}
	slices.Sort(sorted)
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + median) / 2
	}
	return spread{median, sorted[0], sorted[len(sorted)-1]}, true
}

// ratios are those of pairs that were measured next to each other; NaN where one of them is missing, or by 0.
func ratios(over, under []float64) []float64 {
	result := make([]float64, len(over))
	for i := range over {
		result[i] = math.NaN()
		if under[i] != 0 {
			result[i] = over[i] / under[i]
		}
	}
	return result
}

// slowestShare is what the smallest of some shares is of their mean: 1 if all are equal.
func slowestShare(shares []int64) float64 {
	total, smallest := 0.0, math.Inf(1)
	for _, share := range shares {
		total += float64(share)
		smallest = min(smallest, float64(share))
	}
	return smallest / (total / float64(len(shares)))
}

// jain is Jain's index of fairness: 1 if all shares are equal, 1/n if one of n has all.
func jain(shares []int64) float64 {
	total, squares := 0.0, 0.0
	for _, share := range shares {
		total += float64(share)
		squares += float64(share) * float64(share)
	}
	return total * total / (float64(len(shares)) * squares)
}
