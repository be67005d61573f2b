package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Fault is one thing that is wrong with a config.
type Fault struct {
	Key     string // such as links[2].a; "" where no single key is to blame
	Line    int    // in the file, from 1; 0 where the fault is not in a line of it
	Column  int    // likewise
	Message string // what is wrong, and what would be right
}

// Faults is everything that is wrong with a file. Load returns it, as an error, when the file could be read
// but not used; nothing of such a file is ever applied.
type Faults struct {
	File string
	List []Fault // never empty, in the order of the file
}

// Error has one line for each fault: file:line:column: key: message.
func (f *Faults) Error() string {
	lines := make([]string, len(f.List))
	for i, fault := range f.List {
		lines[i] = f.File + ": "
		if fault.Line > 0 {
			lines[i] = fmt.Sprintf("%s:%d:%d: ", f.File, fault.Line, fault.Column)
		}
		if fault.Key != "" {
			lines[i] += fault.Key + ": "
		}
		lines[i] += fault.Message
	}
	return strings.Join(lines, "\n")
}

// findings collects the faults of one file, and where its keys stand.
type findings struct {
	file    string
	faults  []Fault
	places  map[string]place
	merging map[*yaml.Node]bool // the mappings that "<<" has led into
}

func newFindings(file string) *findings {
	return &findings{file: file, places: map[string]place{}, merging: map[*yaml.Node]bool{}}
}

type place struct{ line, column int }

// place remembers where the value of key stands.
func (f *findings) place(key string, node *yaml.Node) {
	f.places[key] = place{node.Line, node.Column}
}

// add notes a fault at the place of key, or of the nearest key around it.
func (f *findings) add(key, format string, args ...any) {
	at, known := f.places[key]
	for around := key; !known && around != ""; at, known = f.places[around] {
		around = around[:max(0, strings.LastIndexAny(around, ".["))]
	}
	f.faults = append(f.faults, Fault{Key: key, Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...)})
}

// at notes a fault at the place of a node.
func (f *findings) at(node *yaml.Node, key, format string, args ...any) {
	f.faults = append(f.faults, Fault{Key: key, Line: node.Line, Column: node.Column, Message: fmt.Sprintf(format, args...)})
}

// syntax notes what the YAML parser complained about, at the place that it names.
func (f *findings) syntax(err error) {
	fault := Fault{Message: err.Error()}
	if load := (*yaml.LoadError)(nil); errors.As(err, &load) {
		fault = Fault{Line: load.Mark.Line, Column: load.Mark.Column, Message: load.Message}
		if load.ContextMsg != "" {
			fault.Message += " (" + load.ContextMsg + ")"
		}
	}
	f.faults = append(f.faults, fault)
}

// err returns *Faults in the order of the file, or nil if there is none.
func (f *findings) err() error {
	if len(f.faults) == 0 {
		return nil
	}
	list := slices.Clone(f.faults)
	slices.SortStableFunc(list, func(a, b Fault) int { return a.Line - b.Line })
	return &Faults{File: f.file, List: list}
}
