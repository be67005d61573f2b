// Package nearest finds what somebody may have meant who has mistyped a name.
package nearest

import (
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// most is how many names are worth being read.
const most = 3

// Names returns those of the known names that a word most resembles, whatever their case, in their order: three at most, and none if it
// resembles none of them. Of a long name a part is enough.
func Names(word string, known []string) []string {
	word = strings.ToLower(word)
	names, away := pick(known, func(name string) int { return distance(word, name) })
	if away <= min(len(word)/2, 3) {
		return names
	}
	if len(word) < 2 {
		return nil
	}
	names, _ = pick(known, func(name string) int {
		if strings.Contains(name, word) {
			return 0
		}
		return far
	})
	return names
}

// distance is Levenshtein's; but letters in another order are one mistake, not two.
func distance(word, name string) int {
	d := levenshtein.ComputeDistance(word, name)
	if d == 2 && slices.Equal(slices.Sorted(slices.Values([]rune(word))), slices.Sorted(slices.Values([]rune(name)))) {
		return 1
	}
	return d
}

// far is a distance at which a name is never picked.
const far = 1 << 20

// pick returns the names at the smallest distance, and that.
func pick(known []string, measure func(name string) int) (names []string, smallest int) {
	smallest = far
	for _, name := range known {
		switch d := measure(strings.ToLower(name)); {
		case d > smallest || d >= far:
		case d < smallest:
			names, smallest = []string{name}, d
		case len(names) < most:
			names = append(names, name)
		}
	}
	return names, smallest
}

// List writes names as people do: x, y or z.
func List(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
