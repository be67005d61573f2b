package table

import (
	"github.com/mattn/go-runewidth"
)

// gap is between two columns.
const gap = "  "

// leastPeer is what is left of a peer's name before other columns have to go, in cells.
const leastPeer = 8

// column is one of a table's, with its cells from the top.
type column struct {
	title   string
	cells   []string
	right   bool // its cells are at the right
	colored bool
	least   int // how narrow it may become; 0: it stays as it is
	drop    int // of those that are not 0, the columns with the largest are left out first
	width   int
}

func (c *column) add(text string) { c.cells = append(c.cells, text) }

// fit gives the columns widths, and leaves out some if they are too wide together. If width is 0, nothing is.
func fit(columns []column, width int) []column {
	for i := range columns {
		c := &columns[i]
		c.width = cells(c.title)
		for _, text := range c.cells {
			c.width = max(c.width, cells(text))
		}
	}
	for width > 0 {
		if squeezed, fits := squeeze(columns, width, func(c column) int { return c.least }); fits {
			return squeezed
		}
		fewer := withoutLeast(columns)
		if len(fewer) == len(columns) {
			squeezed, _ := squeeze(columns, width, func(column) int { return 1 })
			return squeezed
		}
		columns = fewer
	}
	return columns
}

// squeeze takes what is too much from the widest columns, and tells whether that is enough.
func squeeze(columns []column, width int, least func(column) int) ([]column, bool) {
	squeezed := append([]column{}, columns...)
	excess := -width - len(gap)
	for _, c := range squeezed {
		excess += c.width + len(gap)
	}
	for ; excess > 0; excess-- {
		widest := -1
		for i, c := range squeezed {
			if limit := least(c); limit > 0 && c.width > limit && (widest < 0 || c.width > squeezed[widest].width) {
				widest = i
			}
		}
		if widest < 0 {
			return squeezed, false
		}
		squeezed[widest].width--
	}
	return squeezed, true
}

// withoutLeast leaves out those that say least.
func withoutLeast(columns []column) (rest []column) {
	least := 0
	for _, c := range columns {
		least = max(least, c.drop)
	}
	for _, c := range columns {
		if least == 0 || c.drop < least {
			rest = append(rest, c)
		}
	}
	return rest
}

// measure counts the cells of a terminal. What is one in some terminals and two in others is one here, as in those of most.
func measure() *runewidth.Condition {
	return &runewidth.Condition{StrictEmojiNeutral: true}
}

// cells is how wide a text is on a terminal.
func cells(text string) int { return measure().StringWidth(text) }

// cut shortens a text to so many cells; 0 is any number.
func cut(text string, width int) string {
	if width <= 0 {
		return text
	}
	return measure().Truncate(text, width, "…")
}
