package resttest

import (
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

// These are the parts of the document that matter here.
type (
	rawDocument struct {
		Paths      map[string]map[string]yaml.Node
		Components struct {
			Parameters map[string]rawParameter
			Responses  map[string]rawAnswer
			Schemas    map[string]map[string]any
			Examples   map[string]struct{ Value any }
		}
	}
	rawCall struct {
		OperationID string `yaml:"operationId"`
		Parameters  []rawParameter
		RequestBody *struct {
			Content map[string]struct {
				Schema struct {
					Min int `yaml:"minLength"`
					Max int `yaml:"maxLength"`
				}
			}
		} `yaml:"requestBody"`
		Responses map[string]rawAnswer
	}
	rawParameter struct {
		Ref             string `yaml:"$ref"`
		Name, In        string
		Required        bool
		AllowEmptyValue bool `yaml:"allowEmptyValue"`
		Example         any
		Schema          map[string]any
	}
	rawAnswer struct {
		Ref         string `yaml:"$ref"`
		Description string
		Content     map[string]struct {
			Schema   map[string]any
			Example  any
			Examples map[string]struct {
				Ref string `yaml:"$ref"`
			}
		}
	}
)

// reader makes a Document of the raw one.
type reader struct {
	raw      rawDocument
	compiler *jsonschema.Compiler
	err      error
}

// place is where the compiler has the document.
const place = "file:///openapi.yaml"

func (r *reader) decode(node yaml.Node, into any) {
	if err := node.Decode(into); err != nil && r.err == nil {
		r.err = err
	}
}

func (r *reader) compile(pointer string) *jsonschema.Schema {
	schema, err := r.compiler.Compile(place + pointer)
	if err != nil && r.err == nil {
		r.err = err
	}
	return schema
}

func (r *reader) call(method, path, where string, raw rawCall, common []rawParameter) *Call {
	c := &Call{ID: raw.OperationID, Method: method, Path: path, answers: map[string]*Answer{}}
	for _, piece := range split(path) {
		if strings.HasPrefix(piece, "{") {
			piece = ""
		}
		c.pieces = append(c.pieces, piece)
	}
	item := strings.TrimSuffix(where, "/"+strings.ToLower(method))
	for i, p := range common {
		c.Parameters = append(c.Parameters, r.parameter(p, fmt.Sprintf("%s/parameters/%d", item, i)))
	}
	for i, p := range raw.Parameters {
		c.Parameters = append(c.Parameters, r.parameter(p, fmt.Sprintf("%s/parameters/%d", where, i)))
	}
	if raw.RequestBody != nil {
		for _, content := range raw.RequestBody.Content {
			c.Body = &Body{content.Schema.Min, content.Schema.Max}
		}
	}
	for status, answer := range raw.Responses {
		at := where + "/responses/" + status
		if name, isRef := strings.CutPrefix(answer.Ref, "#/components/responses/"); isRef {
			answer, at = r.raw.Components.Responses[name], "#/components/responses/"+name
		}
		c.answers[status] = r.answer(answer, at)
	}
	return c
}

func (r *reader) parameter(raw rawParameter, at string) Parameter {
	if name, isRef := strings.CutPrefix(raw.Ref, "#/components/parameters/"); isRef {
		raw, at = r.raw.Components.Parameters[name], "#/components/parameters/"+name
	}
	p := Parameter{Name: raw.Name, In: raw.In, Required: raw.Required, empty: raw.AllowEmptyValue, schema: r.compile(at + "/schema")}
	if raw.Example != nil {
		p.Example = fmt.Sprint(raw.Example)
	}
	schema := raw.Schema
	if ref, isRef := schema["$ref"].(string); isRef {
		schema = r.raw.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")]
	}
	values, hasValues := schema["enum"].([]any)
	for _, value := range values {
		p.Values = append(p.Values, fmt.Sprint(value))
	}
	_, hasPattern := schema["pattern"]
	p.Free = !hasValues && !hasPattern
	return p
}

func (r *reader) answer(raw rawAnswer, at string) *Answer {
	a := &Answer{description: raw.Description, content: map[string]*jsonschema.Schema{}, examples: map[string][]any{}}
	for kind, content := range raw.Content {
		a.content[kind] = r.compile(at + "/content/" + escapePointer(kind) + "/schema")
		if content.Example != nil {
			a.examples[kind] = append(a.examples[kind], content.Example)
		}
		for _, ref := range content.Examples {
			example := r.raw.Components.Examples[strings.TrimPrefix(ref.Ref, "#/components/examples/")]
			a.examples[kind] = append(a.examples[kind], example.Value)
		}
	}
	return a
}
