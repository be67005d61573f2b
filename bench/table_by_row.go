package main

import (
	"fmt"
	"slices"
	"strings"
)

// legend says how to read the cells of tableByRow.
func legend(contenders []contender) string {
	text := "Each cell is of a hub; in brackets"
	for i, c := range notHubs(contenders) {
		if i > 0 {
			text += ","
		}
		text += " ÷ " + c.name
	}
	return text + "."
}

func notHubs(contenders []contender) []contender {
	return slices.DeleteFunc(slices.Clone(contenders), func(c contender) bool { return c.kind == hub })
}

// tableByRow makes the cells of a table with one line for each row and hub, the head first.
func tableByRow(contenders []contender, rows []measured) [][]string {
	pairs := pairings(contenders)
	head := []string{rows[0].table}
	for _, line := range rows[0].lines {
		head = append(head, fmt.Sprintf("%s, %s %s", line.name, line.unit, line.arrow()))
	}
	cells := [][]string{head}
	for _, r := range rows {
		for h, c := range contenders {
			if c.kind != hub {
				continue
			}
			values := []string{r.name}
			if len(contenders) > len(notHubs(contenders))+1 {
				values[0] += ": " + c.name
			}
			for l := range r.lines {
				var ratio []string
				for _, p := range pairs {
					if p.over == h && contenders[p.under].kind != hub {
						s, ok := spreadOf(ratios(r.values[l][h], r.values[l][p.under]))
						ratio = append(ratio, cell(ok, number(s.median)))
					}
				}
				s, ok := spreadOf(r.values[l][h])
				values = append(values, cell(ok, fmt.Sprintf("%s (%s)", number(s.median), strings.Join(ratio, ", "))))
			}
			cells = append(cells, values)
		}
	}
	return cells
}
