package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// told is an event as a reader hears it, or an id, or a comment without one.
type told struct{ id, kind, data, comment string }

// hearing reads a stream of events as a browser would. It is for one goroutine.
type hearing struct {
	t     testing.TB
	body  io.ReadCloser
	lines *bufio.Reader
	last  string // id
}

// hear begins to hear; last, if it is not "", is where an earlier stream has ended. The answer is closed with the test.
func hear(t testing.TB, client *http.Client, url, last string) *hearing {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	if kind := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || kind != "text/event-stream" {
		t.Fatalf("%s is answered by %s, %s", url, response.Status, kind)
	}
	return &hearing{t: t, body: response.Body, lines: bufio.NewReader(response.Body), last: last}
}

// next returns what comes next, or an error at the end.
func (h *hearing) next() (said told, err error) {
	last := h.last
	for {
		line, err := h.lines.ReadString('\n')
		if err != nil {
			return said, err
		}
		line = strings.TrimSuffix(line, "\n")
		switch field, value, _ := strings.Cut(line, ":"); {
		case line == "" && said != (told{}):
			h.last = last
			return said, nil
		case line == "":
		case field == "":
			said.comment = ":" + value
		case field == "id":
			last = strings.TrimPrefix(value, " ")
			said.id = last
		case field == "event":
			said.kind = strings.TrimPrefix(value, " ")
		case field == "data":
			said.data = strings.TrimPrefix(value, " ")
		default:
			return said, fmt.Errorf("a line is %q", line)
		}
	}
}

// event returns the next one, and passes over all else.
func (h *hearing) event() (told, error) {
	for {
		if said, err := h.next(); err != nil || said.data != "" {
			return said, err
		}
	}
}

// must returns the next event, and fails the test if there is none.
func (h *hearing) must() told {
	h.t.Helper()
	said, err := h.event()
	if err != nil {
		h.t.Fatal(err)
	}
	return said
}
