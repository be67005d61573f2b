package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"syscall"
	"time"
)

// row is one kind of work, and the lines of the table that it fills.
type row struct {
	name  string // -only selects by the table and the name
	table string // which it is a line of, with others that have the same lines; empty if each of its lines is one of the main table
	base  string // the row of the table with which the hub is compared, and whose other contenders are this row's too; empty if it has its own
	lines []line
	kinds []kind // who takes part
	note  string // what a reader has to know, below the table
	// measure makes a contender do the work once.
	measure func(ctx context.Context, s *stage, c contender) (sample, error)
}

// title is the whole name.
func (r row) title() string {
	if r.table == "" {
		return r.name
	}
	return r.table + ": " + r.name
}

// line is one thing that a row measures.
type line struct {
	name string
	unit string
	more bool // is better, not less
}

// arrow points to where it is better.
func (l line) arrow() string {
	if l.more {
		return "↑"
	}
	return "↓"
}

// sample is what one contender did in one round.
type sample struct {
	values []float64 // one for each line; NaN if it does not apply
	note   string    // like that of the row, for what is known only afterwards
}

// measured are the samples of a row.
type measured struct {
	row
	values [][][]float64 // by line, contender and round; NaN where nothing was measured
	notes  []string
}

// compare measures the rows in rounds, the contenders in turns, and prints the table.
func compare(ctx context.Context, o options, contenders []contender, rows []row, out, progress io.Writer) (err error) {
	rows = slices.DeleteFunc(rows, func(r row) bool { return !o.only.MatchString(r.title()) })
	if len(rows) == 0 {
		return fmt.Errorf("-only: no row is called like %s", o.only)
	}
	if err := raiseLimit(); err != nil {
		return err
	}
	s, err := newStage(o.time)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()

	all := make([]measured, len(rows))
	for i, r := range rows {
		all[i] = newMeasured(r, len(contenders), o.rounds)
	}
	began := time.Now()
	for round := range o.rounds {
		for i := range all {
			if err := all[i].play(ctx, s, contenders, round); err != nil {
				return fmt.Errorf("round %d, %w", round+1, err)
			}
		}
		_, err := fmt.Fprintf(progress, "round %d of %d done after %.0f s\n", round+1, o.rounds, time.Since(began).Seconds())
		if err != nil {
			return err
		}
	}
	return printReport(out, about(o, contenders, s.dir, time.Since(began)), contenders, all)
}

func newMeasured(r row, contenders, rounds int) measured {
	m := measured{row: r, values: make([][][]float64, len(r.lines))}
	if r.note != "" {
		m.notes = append(m.notes, r.note)
	}
	for l := range m.values {
		m.values[l] = make([][]float64, contenders)
		for c := range m.values[l] {
			m.values[l][c] = slices.Repeat([]float64{math.NaN()}, rounds)
		}
	}
	return m
}

// play measures each contender once. Who comes first changes with the round: none always follows the same other.
func (m *measured) play(ctx context.Context, s *stage, contenders []contender, round int) error {
	for i := range contenders {
		turn := (i + round) % len(contenders)
		c := contenders[turn]
		if !slices.Contains(m.kinds, c.kind) {
			continue
		}
		got, err := m.measure(ctx, s, c)
		if ctx.Err() != nil {
			return fmt.Errorf("%s, %s: interrupted", m.title(), c.name)
		}
		if err != nil {
			return fmt.Errorf("%s, %s: %w", m.title(), c.name, err)
		}
		for l, value := range got.values {
			m.values[l][turn][round] = value
		}
		if got.note != "" && !slices.Contains(m.notes, got.note) {
			m.notes = append(m.notes, got.note)
		}
	}
	return nil
}

// raiseLimit lets this process, and those that it starts, have as many descriptors as the machine allows.
func raiseLimit() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	limit.Cur = limit.Max
	// Go has done it already for itself, but gives children the old limit, unless it is set explicitly.
	return os.NewSyscallError("setrlimit", syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
}
