package config

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"serialhub/internal/nearest"
)

// Fault is one thing that is wrong with a config.
type Fault struct {
	Key     string `json:"key,omitempty"`    // such as links[2].a; "" where no single key is to blame
	Line    int    `json:"line,omitempty"`   // in the file, from 1; 0 where the fault is not in a line of it
	Column  int    `json:"column,omitempty"` // likewise, in characters
	Message string `json:"message"`          // what is wrong, and what would be right
	Source  string `json:"source,omitempty"` // the line itself
}

// Faults is everything that is wrong with a file. Load returns it, as an error, when the file could be read
// but not used; nothing of such a file is ever applied.
type Faults struct {
	File string
	List []Fault // never empty, in the order of the file
}

// Error has a line for each fault, file:line:column: key: message, and below it the line of the file with a caret.
func (f *Faults) Error() string {
	var b strings.Builder
	for i, fault := range f.List {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(f.File)
		if fault.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", fault.Line, fault.Column)
		}
		b.WriteString(": ")
		if fault.Key != "" {
			b.WriteString(fault.Key + ": ")
		}
		b.WriteString(fault.Message)
		if fault.Source != "" {
			fmt.Fprintf(&b, "\n%5d | %s\n      | %s^", fault.Line, fault.Source, blank(fault.Source, fault.Column-1))
		}
	}
	return b.String()
}

// blank is as wide as the first n characters of line: a tab stays a tab.
func blank(line string, n int) string {
	before := []rune(line)
	before = before[:max(0, min(n, len(before)))]
	for i, r := range before {
		if r != '\t' {
			before[i] = ' '
		}
	}
	return string(before)
}

// findings collects the faults of one file, and where its keys stand.
type findings struct {
	file    string
	lines   []string // of the file
	faults  []Fault
	places  map[string]place
	env     map[string]string   // the variables that override keys
	merging map[*yaml.Node]bool // the mappings that "<<" has led into
	merges  int                 // by "<<", so far
	misfits map[string]bool     // keys whose values were taken out
	useless bool                // what the document says cannot be told
}

func newFindings(file string, text []byte) *findings {
	return &findings{
		file:    file,
		lines:   strings.Split(string(text), "\n"),
		places:  map[string]place{},
		env:     map[string]string{},
		misfits: map[string]bool{},
		merging: map[*yaml.Node]bool{},
	}
}

type place struct{ line, column int }

// place remembers where the value of key stands.
func (f *findings) place(key string, node *yaml.Node) {
	f.places[key] = place{node.Line, node.Column}
}

// written tells whether the file has the key, whatever its value.
func (f *findings) written(key string) bool {
	_, placed := f.places[key]
	return placed
}

// add notes a fault at the place of key, or of the nearest key around it; unless the key, or one around it, has been
// taken out, for then it is missing only because of that.
func (f *findings) add(key, format string, args ...any) {
	var at place
	known := false
	if f.misfit(key) {
		return
	}
	for key := range around(key) {
		if !known {
			at, known = f.places[key]
		}
	}
	f.note(key, at, fmt.Sprintf(format, args...))
}

// misfit tells whether the value of key, or of one around it, has been taken out.
func (f *findings) misfit(key string) bool {
	for key := range around(key) {
		if f.misfits[key] {
			return true
		}
	}
	return false
}

// around yields key, then those around it, and at last "" for the whole file.
func around(key string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for yield(key) && key != "" {
			key = key[:max(0, strings.LastIndexAny(key, ".["))]
		}
	}
}

// unfit notes a fault of the value of key, which is taken out.
func (f *findings) unfit(key, format string, args ...any) {
	f.add(key, format, args...)
	f.misfits[key] = true
}

// at notes a fault at the place of a node.
func (f *findings) at(node *yaml.Node, key, format string, args ...any) {
	f.note(key, place{node.Line, node.Column}, fmt.Sprintf(format, args...))
}

// maxSource is how much of a line is shown; a longer one says nothing to a reader.
const maxSource = 200

func (f *findings) note(key string, at place, message string) {
	if variable := f.env[key]; variable != "" {
		key, at = variable, place{}
	}
	fault := Fault{Key: key, Line: at.line, Column: at.column, Message: message}
	if at.line > 0 && at.line <= len(f.lines) {
		if source := strings.TrimRight(f.lines[at.line-1], "\r"); len(source) <= maxSource {
			fault.Source = source
		}
	}
	f.faults = append(f.faults, fault)
}

// syntax notes what the YAML parser complained about, at the place that it names.
func (f *findings) syntax(err error) {
	load := (*yaml.LoadError)(nil)
	if !errors.As(err, &load) {
		f.note("", place{}, err.Error())
		return
	}
	message := load.Message
	if load.ContextMsg != "" {
		message += " (" + load.ContextMsg + ")"
	}
	if line := load.Mark.Line; line > 0 && line <= len(f.lines) {
		switch source := f.lines[line-1]; {
		case strings.HasPrefix(strings.TrimLeft(source, " "), "\t"):
			message = "the line is indented with a tab; YAML is indented with spaces"
		case strings.Contains(source, forLink), strings.Contains(source, forEnd), strings.Contains(source, forDate):
			message += "; put a name with braces in quotes, such as \"/var/log/serialhub/{link}.log\""
		}
	}
	f.note("", place{load.Mark.Line, load.Mark.Column}, message)
}

// unknown notes a key that there is not, with the known ones that it most resembles.
func (f *findings) unknown(node *yaml.Node, key string, known []string) {
	if names := nearest.Names(node.Value, known); len(names) > 0 {
		f.at(node, key, "unknown key; did you mean %s?", nearest.List(names))
	} else {
		f.at(node, key, "unknown key; known here: %s", strings.Join(known, ", "))
	}
}

// err returns *Faults in the order of the file, or nil if there is none.
func (f *findings) err() error {
	if len(f.faults) == 0 {
		return nil
	}
	list := slices.Clone(f.faults)
	slices.SortStableFunc(list, func(a, b Fault) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
	return &Faults{File: f.file, List: list}
}
