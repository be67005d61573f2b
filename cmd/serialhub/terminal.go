package main

import (
	"os"
	"time"

	"golang.org/x/term"

	"serialhub/internal/table"
)

// isTerminal tells whether a person reads what is written to a file.
func isTerminal(file *os.File) bool { return term.IsTerminal(int(file.Fd())) }

// hasColors tells whether what is written to a file may have colours.
func hasColors(file *os.File) bool {
	return isTerminal(file) && os.Getenv("NO_COLOR") == "" && !isDumb()
}

// isDumb tells whether the terminal knows no sequences (TERM, as ncurses has it).
func isDumb() bool { return os.Getenv("TERM") == "dumb" }

// styleFor says how a table is written to a file. For a terminal that does not tell how wide it is, no line is cut.
func styleFor(file *os.File) table.Style {
	style := table.Style{Now: time.Now(), Color: hasColors(file)}
	if isTerminal(file) {
		style.Width, _, _ = term.GetSize(int(file.Fd()))
	}
	return style
}
