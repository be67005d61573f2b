package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// printReport prints what was measured: a Markdown table between what a reader has to know.
func printReport(out io.Writer, about string, contenders []contender, rows []measured) error {
	var text strings.Builder
	text.WriteString(about + "\n\n")
	text.WriteString("Medians of the rounds. ÷ is the median of the ratios within a round (and the smallest – the largest of them). " +
		"↓ less is better, ↑ more.\n\n")
	for i, part := range byTable(rows) {
		if i > 0 {
			text.WriteString("\n")
		}
		contenders, part := takingPart(contenders, part)
		if part[0].table == "" {
			writeTable(&text, table(contenders, part), 2)
		} else {
			text.WriteString(legend(contenders, part[0].base) + "\n\n")
			writeTable(&text, tableByRow(contenders, part), 1)
		}
	}
	notes := false
	for _, r := range rows {
		for _, note := range r.notes {
			if !notes {
				text.WriteString("\n")
			}
			notes = true
			text.WriteString("- " + note + "\n")
		}
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// byTable parts the rows, of which those of a table follow each other.
func byTable(rows []measured) (parts [][]measured) {
	for i, r := range rows {
		if i == 0 || r.table != rows[i-1].table {
			parts = append(parts, nil)
		}
		last := &parts[len(parts)-1]
		*last = append(*last, r)
	}
	return parts
}

// takingPart leaves out the contenders that none of the rows is about.
func takingPart(all []contender, rows []measured) (contenders []contender, narrow []measured) {
	var indices []int
	for i, c := range all {
		if slices.ContainsFunc(rows, func(r measured) bool { return slices.Contains(r.kinds, c.kind) }) {
			indices, contenders = append(indices, i), append(contenders, c)
		}
	}
	for _, r := range rows {
		values := make([][][]float64, len(r.values))
		for l := range r.values {
			for _, i := range indices {
				values[l] = append(values[l], r.values[l][i])
			}
		}
		r.values = values
		narrow = append(narrow, r)
	}
	return contenders, narrow
}

// pairing is a ratio of two contenders, by their index.
type pairing struct{ over, under int }

// pairings are each hub to what is no hub, and each further hub to the first.
func pairings(contenders []contender) (list []pairing) {
	for over, c := range contenders {
		if c.kind != hub {
			continue
		}
		if over > 0 {
			list = append(list, pairing{over, 0})
		}
		for under, other := range contenders {
			if other.kind != hub {
				list = append(list, pairing{over, under})
			}
		}
	}
	return list
}

// table makes the cells, the head first.
func table(contenders []contender, rows []measured) [][]string {
	pairs := pairings(contenders)
	head := []string{"", "unit"}
	for _, c := range contenders {
		head = append(head, c.name)
	}
	for _, p := range pairs {
		head = append(head, contenders[p.over].name+" ÷ "+contenders[p.under].name)
	}
	cells := [][]string{head}
	for _, r := range rows {
		for l, line := range r.lines {
			name := r.name + ": " + line.name
			values := []string{name, strings.TrimSpace(line.unit + " " + line.arrow())}
			for c := range contenders {
				s, ok := spreadOf(r.values[l][c])
				values = append(values, cell(ok, number(s.median)))
			}
			for _, p := range pairs {
				s, ok := spreadOf(ratios(r.values[l][p.over], r.values[l][p.under]))
				values = append(values, cell(ok, fmt.Sprintf("%s (%s – %s)", number(s.median), number(s.low), number(s.high))))
			}
			cells = append(cells, values)
		}
	}
	return cells
}

func cell(known bool, text string) string {
	if !known {
		return "—"
	}
	return text
}

// number writes about three digits of a value.
func number(v float64) string {
	switch size := math.Abs(v); {
	case size >= 1000:
		return thousands(int(math.Round(v)))
	case size >= 100:
		return fmt.Sprintf("%.0f", v)
	case size >= 10:
		return fmt.Sprintf("%.1f", v)
	case size >= 1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}

// writeTable writes cells as Markdown, in columns that line up: text, which the first columns are, to the left, numbers to the right.
func writeTable(out *strings.Builder, cells [][]string, text int) {
	widths := make([]int, len(cells[0]))
	for _, row := range cells {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for n, row := range cells {
		for i, cell := range row {
			padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < text {
				cell += padding
			} else {
				cell = padding + cell
			}
			out.WriteString("| " + cell + " ")
		}
		out.WriteString("|\n")
		if n > 0 {
			continue
		}
		for i, width := range widths {
			if i < text {
				out.WriteString("|" + strings.Repeat("-", width+2))
			} else {
				out.WriteString("|" + strings.Repeat("-", width+1) + ":")
			}
		}
		out.WriteString("|\n")
	}
}
