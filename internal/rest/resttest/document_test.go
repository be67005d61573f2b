package resttest_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	openapi "serialhub/api"
	"serialhub/internal/rest/resttest"
)

// TestProblemsAreExplained finds each type of problem in the tables that explain them, and in an answer.
func TestProblemsAreExplained(t *testing.T) {
	text := string(openapi.Document())
	docs, err := os.ReadFile("../../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range resttest.MustLoad(t).Problems() {
		short := "`" + kind[strings.LastIndexByte(kind, ':')+1:] + "`"
		row := "| " + short + " |"
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, row) {
				row = line
			}
		}
		if row == "| "+short+" |" || !strings.Contains(string(docs), row) {
			t.Errorf("%s has no row in the document, or another one in docs/api.md", kind)
		}
		if kind != "urn:serialhub:problem:no-such-path" && kind != "urn:serialhub:problem:method-not-allowed" && !strings.Contains(text, "("+short+")") {
			t.Errorf("no answer has %s", kind)
		}
	}
}

// TestDocumentIsWhole finds in every call what its readers look for.
func TestDocumentIsWhole(t *testing.T) {
	for _, call := range resttest.MustLoad(t).Calls {
		if strings.Contains(call.Example(), "{") {
			t.Errorf("%s has no example of a name", call.ID)
		}
		for _, p := range call.Parameters {
			if p.Example == "" {
				t.Errorf("%s: %s has no example", call.ID, p.Name)
			}
		}
	}
}

// TestJudge finds what is wrong with answers.
func TestJudge(t *testing.T) {
	const problem = `{"type": "urn:serialhub:problem:%s", "title": "t", "status": 404, "detail": "d"}`
	notFound := func(kind string) string { return strings.Replace(problem, "%s", kind, 1) }
	tests := []struct {
		name, method, target string
		status               int
		kind, body           string
		allow                string
		want                 string // "" if nothing is wrong
	}{
		{name: "right", method: "GET", target: "/status/", status: 403, kind: "application/problem+json", body: strings.Replace(notFound("cross-site"), "404", "403", 1)},
		{name: "no such status", method: "GET", target: "/links", status: 302, want: "has no such status"},
		{name: "another kind of content", method: "GET", target: "/links", status: 200, kind: "text/html", want: "has no text/html"},
		{name: "no kind of content", method: "GET", target: "/links", status: 200, want: "Content-Type"},
		{name: "not what the schema says", method: "GET", target: "/links", status: 200, kind: "application/json", body: `{}`, want: "missing property 'links'"},
		{name: "no JSON", method: "GET", target: "/links", status: 200, kind: "application/json", body: `{`, want: "EOF"},
		{name: "a type that is none", method: "GET", target: "/links/x", status: 404, kind: "application/problem+json", body: notFound("odd"), want: "value must be one of"},
		{name: "a type of another answer", method: "GET", target: "/links/x", status: 404, kind: "application/problem+json", body: notFound("no-such-path"), want: "has no no-such-path there"},
		{name: "another status within", method: "GET", target: "/links?x=1", status: 400, kind: "application/problem+json", body: notFound("bad-parameter"), want: "its status is 404"},
		{name: "a parameter that is passed over", method: "POST", target: "/links/x/reset?edn=a", status: 200, want: "should be refused"},
		{name: "a value that is passed over", method: "POST", target: "/links/x/reset?end=c", status: 200, want: `end cannot be "c"`},
		{name: "a parameter that is refused", method: "POST", target: "/links/x/reset?end=a", status: 400, want: "nothing is wrong with it"},
		{name: "a parameter that is missing", method: "POST", target: "/links/x/break", status: 200, want: "there is no end"},
		{name: "no such path", method: "GET", target: "/x", status: 404, kind: "application/problem+json", body: notFound("no-such-path")},
		{name: "a path that there is not", method: "GET", target: "/x", status: 200, want: "there is no such call"},
		{name: "methods that are not all", method: "PUT", target: "/links/x/reset", status: 405, allow: "GET", want: "it allows [GET]"},
		{name: "an event", method: "GET", target: "/events", status: 200, kind: "text/event-stream", body: ": hello\n\nid: 1\ndata: {\"id\":\"x-1\",\"at\":\"2026-11-22T13:00:00Z\",\"type\":\"missed\",\"message\":\"m\"}\n\n"},
		{name: "an event that is not whole", method: "GET", target: "/events", status: 200, kind: "text/event-stream", body: "data: {\"id\":\"x-1\",\"at\":\"2026-11-22T13:00:00Z\",\"type\":\"state\",\"link\":\"x\"}\n\n", want: "missing properties"},
		{name: "an event that is none", method: "GET", target: "/events", status: 200, kind: "text/event-stream", body: "data: {\"id\":\"x-1\",\"at\":\"today\",\"type\":\"missed\"}\n\n", want: "date-time"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var wrong error
			handler := resttest.MustLoad(t).Around(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if test.kind != "" {
					w.Header().Set("Content-Type", test.kind)
				}
				w.Header().Set("Allow", test.allow)
				w.WriteHeader(test.status)
				w.Write([]byte(test.body))
			}), func(err error) { wrong = err })
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(test.method, test.target, nil))
			if test.want == "" && wrong != nil || test.want != "" && (wrong == nil || !strings.Contains(wrong.Error(), test.want)) {
				t.Errorf("it finds %v, want %q", wrong, test.want)
			}
		})
	}
}

// TestExamples finds each example of an answer to be as its schema says.
func TestExamples(t *testing.T) {
	found := 0
	resttest.MustLoad(t).Examples(func(where string, schema *jsonschema.Schema, example []byte) {
		found++
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(example))
		if err == nil {
			err = schema.Validate(value)
		}
		if err != nil {
			t.Errorf("%s: %v", where, err)
		}
	})
	if found < 50 {
		t.Errorf("there are only %d examples", found)
	}
}
