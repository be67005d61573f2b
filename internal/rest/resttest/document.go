// Package resttest judges by api/openapi.yaml what is asked of a hub and what it answers.
package resttest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	openapi "serialhub/api"
)

// Document is the description of the API. It is safe for use by many goroutines.
type Document struct {
	Calls []*Call // in no order

	event   *jsonschema.Schema
	problem *jsonschema.Schema

	mu   sync.Mutex
	seen map[string]bool // statuses of calls, and types of problems
}

// Call is an operation of the document.
type Call struct {
	ID, Method, Path string
	Parameters       []Parameter
	Body             *Body // nil if it takes none

	pieces  []string // of the path; one that is a parameter is ""
	answers map[string]*Answer
}

// Parameter is one of a call.
type Parameter struct {
	Name, In string
	Required bool
	Example  string
	Values   []string // all that it can be; nil if that is not known
	Free     bool     // what it can be is not all said by the document

	empty  bool // it may be empty
	schema *jsonschema.Schema
}

// Body is what a call takes besides its parameters.
type Body struct{ Min, Max int } // in bytes

// Answer is what a call may answer with a status.
type Answer struct {
	description string
	content     map[string]*jsonschema.Schema // by media type
	examples    map[string][]any
}

// Load reads the document.
func Load() (*Document, error) {
	r := &reader{compiler: jsonschema.NewCompiler()}
	var whole map[string]any
	if err := yaml.Unmarshal(openapi.Document(), &whole); err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal(openapi.Document(), &r.raw); err != nil {
		return nil, err
	}
	r.compiler.DefaultDraft(jsonschema.Draft2020)
	r.compiler.AssertFormat()
	if err := r.compiler.AddResource(place, plain(whole)); err != nil {
		return nil, err
	}
	d := &Document{seen: map[string]bool{}, event: r.compile("#/components/schemas/Event"), problem: r.compile("#/components/schemas/Problem")}
	for path, item := range r.raw.Paths {
		var common []rawParameter
		if node, some := item["parameters"]; some {
			r.decode(node, &common)
			delete(item, "parameters")
		}
		for method, node := range item {
			var raw rawCall
			r.decode(node, &raw)
			where := "#/paths/" + escapePointer(path) + "/" + method
			d.Calls = append(d.Calls, r.call(strings.ToUpper(method), path, where, raw, common))
		}
	}
	return d, r.err
}

// MustLoad reads the document for a test.
func MustLoad(t testing.TB) *Document {
	t.Helper()
	d, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Examples calls each with the examples of all answers, as JSON.
func (d *Document) Examples(each func(where string, schema *jsonschema.Schema, example []byte)) {
	for _, c := range d.Calls {
		for status, answer := range c.answers {
			for kind, examples := range answer.examples {
				for _, example := range examples {
					text, err := json.Marshal(example)
					if err != nil {
						text = []byte(err.Error())
					}
					each(c.ID+" "+status+" "+kind, answer.content[kind], text)
				}
			}
		}
	}
}

// Find returns the call that a request is, whose path is as it was sent; or, if there is none, the methods that the path takes.
func (d *Document) Find(method, path string) (_ *Call, methods []string) {
	pieces := split(path)
	for i, piece := range pieces {
		if plain, err := url.PathUnescape(piece); err == nil {
			pieces[i] = plain
		}
	}
	for _, c := range d.Calls {
		same := slices.EqualFunc(c.pieces, pieces, func(own, other string) bool { return own == other && own != "" || own == "" && other != "" })
		switch {
		case same && c.Method == method:
			return c, nil
		case same:
			methods = append(methods, c.Method)
		}
	}
	return nil, methods
}

// Statuses lists what the document has for a call.
func (c *Call) Statuses() []string { return slices.Sorted(maps.Keys(c.answers)) }

// Example is the target of a request that the document takes for right, as far as its examples go.
func (c *Call) Example() string {
	path, query := c.Path, url.Values{}
	for _, p := range c.Parameters {
		switch {
		case p.In == "path":
			path = strings.Replace(path, "{"+p.Name+"}", url.PathEscape(p.Example), 1)
		case p.In == "query" && p.Required:
			query.Set(p.Name, p.Example)
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

// split gives the pieces of a path, of which a slash at its end makes none.
func split(path string) []string {
	return strings.Split(strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/"), "/")
}

func escapePointer(text string) string {
	return url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(text))
}

// plain gives a value of YAML as one of JSON is read.
func plain(value any) any {
	text, err := json.Marshal(value)
	if err != nil {
		return nil
	}
	read, _ := jsonschema.UnmarshalJSON(bytes.NewReader(text)) // json.Marshal has written it
	return read
}

// Problems are the types of problems that the document lists.
func (d *Document) Problems() (types []string) {
	var raw rawDocument
	if yaml.Unmarshal(openapi.Document(), &raw) == nil {
		values, _ := raw.Components.Schemas["ProblemType"]["enum"].([]any)
		for _, value := range values {
			types = append(types, fmt.Sprint(value))
		}
	}
	return types
}

// saw notes what was answered.
func (d *Document) saw(what ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range what {
		d.seen[one] = true
	}
}

// Unseen lists the statuses of calls and the types of problems that no answer had so far.
func (d *Document) Unseen() (unseen []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.Calls {
		for status := range c.answers {
			if !d.seen[c.ID+" "+status] {
				unseen = append(unseen, c.ID+" "+status)
			}
		}
	}
	for _, kind := range d.Problems() {
		if !d.seen[kind] {
			unseen = append(unseen, kind)
		}
	}
	slices.Sort(unseen)
	return unseen
}

// AnyMethod are the methods of HTTP, and one that is none.
func AnyMethod() []string {
	return []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodTrace, "BREW"}
}
