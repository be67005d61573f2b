package main

import (
	"fmt"
	"slices"
	"strings"
)

// legend says how to read the cells of tableByRow.
func legend(contenders []contender, base string) string {
	var under []string
	if base != "" {
		under = append(under, "÷ its own where "+base)
	}
	for _, c := range notHubs(contenders) {
		under = append(under, "÷ "+c.name)
	}
	return "Each cell is of a hub; in brackets " + strings.Join(under, ", ") + "."
}

func notHubs(contenders []contender) []contender {
	return slices.DeleteFunc(slices.Clone(contenders), func(c contender) bool { return c.kind == hub })
}

// tableByRow makes the cells of a table with one line for each row and hub, the head first.
func tableByRow(contenders []contender, rows []measured) [][]string {
	head := []string{rows[0].table}
	for _, line := range rows[0].lines {
		head = append(head, fmt.Sprintf("%s, %s %s", line.name, line.unit, line.arrow()))
	}
	cells := [][]string{head}
	for _, r := range rows {
		base := r.baseAmong(rows)
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
				for under, other := range contenders {
					if other.kind != hub || under == h && r.base != "" {
						s, ok := spreadOf(ratios(r.values[l][h], base.values[l][under]))
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

// baseAmong is the row whose contenders r is compared with; one without values if it was not measured.
func (r measured) baseAmong(rows []measured) measured {
	if r.base == "" {
		return r
	}
	for _, other := range rows {
		if other.name == r.base {
			return other
		}
	}
	return newMeasured(r.row, len(r.values[0]), len(r.values[0][0]))
}
