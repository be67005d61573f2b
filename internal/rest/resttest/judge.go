package resttest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Exchange is a request and its answer.
type Exchange struct {
	Method string
	Path   string // as it was sent
	Query  string // as it was sent
	Sent   []byte // the body, or as much of it as was looked at

	Status int
	Header http.Header
	Body   []byte
	Whole  bool // Body is all of the answer's
}

// Judge tells what is wrong with an answer: it is not what the document has for the call, or what was asked should have been refused, or
// not have been.
func (d *Document) Judge(x *Exchange) error {
	call, methods := d.Find(x.Method, x.Path)
	if err := d.judge(x, call, methods); err != nil {
		return fmt.Errorf("%s %s?%s: %d, %s: %w", x.Method, x.Path, x.Query, x.Status, brief(x.Body), err)
	}
	return nil
}

func (d *Document) judge(x *Exchange, call *Call, methods []string) error {
	if call == nil {
		return d.judgeStray(x, methods)
	}
	status := strconv.Itoa(x.Status)
	answer := call.answers[status]
	if answer == nil {
		return fmt.Errorf("%s has no such status", call.ID)
	}
	d.saw(call.ID + " " + status)
	if err := call.fair(x); err != nil {
		return err
	}
	if x.Method == http.MethodHead || x.Status == http.StatusSwitchingProtocols {
		return nil // the body is none of the call's
	}
	kind, _, err := mime.ParseMediaType(x.Header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("its Content-Type: %w", err)
	}
	schema, some := answer.content[kind]
	if !some {
		return fmt.Errorf("%s has no %s there", call.ID, kind)
	}
	switch kind {
	case "application/problem+json":
		return d.judgeProblem(x, answer.description)
	case "application/json":
		return d.judgeJSON(x, schema)
	case "text/event-stream":
		return d.judgeEvents(x)
	}
	return nil
}

// judgeStray judges the answer to what is no call.
func (d *Document) judgeStray(x *Exchange, methods []string) error {
	want := []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound} // by whoever asks, a stray one may be refused anyway
	if len(methods) > 0 {
		want[2] = http.StatusMethodNotAllowed
	}
	if x.Method == http.MethodOptions && len(methods) > 0 {
		want[2] = http.StatusNoContent // which tells the methods, too
	}
	if strings.Contains(x.Path, "//") && (x.Status == http.StatusMethodNotAllowed || x.Method == http.MethodOptions) {
		return nil // the router does not know yet that an empty name is none
	}
	if !slices.Contains(want, x.Status) {
		return fmt.Errorf("there is no such call, and it should be one of %v", want)
	}
	if len(methods) > 0 && x.Status == want[2] {
		allowed := strings.Split(x.Header.Get("Allow"), ", ")
		allowed = slices.DeleteFunc(allowed, func(method string) bool { return method == http.MethodOptions })
		slices.Sort(allowed)
		slices.Sort(methods)
		if !slices.Equal(allowed, methods) {
			return fmt.Errorf("it allows %v, and the document has %v", allowed, methods)
		}
	}
	if x.Method == http.MethodHead || x.Status == http.StatusNoContent {
		return nil
	}
	return d.judgeProblem(x, "`no-such-path` `method-not-allowed` `unauthorized` `forbidden` `foreign-host` `cross-site`")
}

// judgeProblem also wants the description to name the kind of problem.
func (d *Document) judgeProblem(x *Exchange, description string) error {
	if err := d.judgeJSON(x, d.problem); err != nil {
		return err
	}
	var problem struct {
		Type   string
		Status int
	}
	if err := json.Unmarshal(x.Body, &problem); err != nil {
		return err
	}
	d.saw(problem.Type)
	kind := problem.Type[strings.LastIndexByte(problem.Type, ':')+1:]
	if !strings.Contains(description, "`"+kind+"`") {
		return fmt.Errorf("the document has no %s there", kind)
	}
	if problem.Status != x.Status {
		return fmt.Errorf("it says that its status is %d", problem.Status)
	}
	return nil
}

func (d *Document) judgeJSON(x *Exchange, schema *jsonschema.Schema) error {
	if !x.Whole {
		return nil
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(x.Body))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// judgeEvents judges the events that are complete.
func (d *Document) judgeEvents(x *Exchange) error {
	events := strings.Split(string(x.Body), "\n\n")
	for _, event := range events[:len(events)-1] {
		for line := range strings.Lines(event) {
			data, isData := strings.CutPrefix(line, "data: ")
			if !isData {
				continue
			}
			value, err := jsonschema.UnmarshalJSON(strings.NewReader(data))
			if err == nil {
				err = d.event.Validate(value)
			}
			if err != nil {
				return fmt.Errorf("event %q: %w", event, err)
			}
		}
	}
	return nil
}

// fair tells whether a request is refused that should not be, or the other way round.
func (c *Call) fair(x *Exchange) error {
	if slices.Contains([]int{http.StatusUnauthorized, http.StatusForbidden}, x.Status) {
		return nil // because of who asks
	}
	faults, sure := c.faults(x)
	switch refused := x.Status == http.StatusBadRequest || x.Status == http.StatusRequestEntityTooLarge; {
	case len(faults) > 0 && !refused:
		return fmt.Errorf("it should be refused: %s", strings.Join(faults, ", "))
	case len(faults) == 0 && refused && sure:
		return fmt.Errorf("nothing is wrong with it")
	}
	return nil
}

// faults lists what is wrong with a request. It is sure if the document tells all that can be wrong.
func (c *Call) faults(x *Exchange) (faults []string, sure bool) {
	sure = true
	query, err := url.ParseQuery(x.Query)
	if err != nil {
		sure = false // what cannot be read is passed over
	}
	for name, values := range query {
		i := slices.IndexFunc(c.Parameters, func(p Parameter) bool { return p.In == "query" && p.Name == name })
		switch {
		case i < 0:
			faults = append(faults, "there is no "+name)
		case len(values) > 1:
			faults = append(faults, name+" is there twice")
		case c.Parameters[i].Free:
			sure = false
		case !c.Parameters[i].takes(values[0]):
			faults = append(faults, fmt.Sprintf("%s cannot be %q", name, values[0]))
		}
	}
	for _, p := range c.Parameters {
		if p.In == "query" && p.Required && !query.Has(p.Name) {
			faults = append(faults, "there is no "+p.Name)
		}
	}
	switch text := strings.TrimSpace(string(x.Sent)); {
	case c.Body == nil && text != "" && text != "{}":
		faults = append(faults, "there is a body")
	case c.Body != nil && len(x.Sent) < c.Body.Min:
		faults = append(faults, "there is no body")
	case c.Body != nil && len(x.Sent) > c.Body.Max:
		faults = append(faults, "the body is too large")
	}
	return faults, sure
}

// takes tells whether the schema takes a text for what it stands for: in a query, nothing says whether true is one.
func (p Parameter) takes(text string) bool {
	if text == "" && p.empty {
		return true
	}
	if p.schema.Validate(text) == nil {
		return true
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	return err == nil && slices.Contains(p.Values, text) && p.schema.Validate(value) == nil
}

func brief(text []byte) string {
	const most = 300
	if len(text) > most {
		return fmt.Sprintf("%q…", text[:most])
	}
	return fmt.Sprintf("%q", text)
}
