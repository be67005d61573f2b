package docs

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// differing is what is another one each time, and what it is compared as.
var differing = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?`), "TIME"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d\.\d+`), "TIME"},
	{regexp.MustCompile(`\b\d\.\d{9}\b`), "TIME"},
	{regexp.MustCompile(`\b[0-9a-f]{8}-\d+\b`), "ID"},
	{regexp.MustCompile(`\b\d+(\.\d+)? ([KMG]i)?B\b`), "SIZE"},
	{regexp.MustCompile(`\b(\d+h)?\d+(ms|[smhd])\b`), "AGE"},
	{regexp.MustCompile(`\bserialhub [^\s,]+, pid`), "serialhub VERSION, pid"},
	{regexp.MustCompile(`(\]:|0\.0\.1:)\d{5}\b`), "${1}PORT"},
	{number, "${1}NUMBER${2}"},
	{number, "${1}NUMBER${2}"},       // the one after one
	{regexp.MustCompile(`\s+`), " "}, // columns are as wide as what is in them
}

// number is one of a process, or of how many; not a part of an address.
var number = regexp.MustCompile(`(^|[^:.\w])\d{2,}($|[^:.\w])`)

// ofRoot is what tshark says to root alone.
const ofRoot = `Running as user "root" and group "root". This could be dangerous.`

// plain are lines without what differs, and without those that are empty at the end.
func plain(lines []string) []string {
	var out []string
	for _, line := range lines {
		if line == ofRoot {
			continue
		}
		for _, d := range differing {
			line = d.what.ReplaceAllString(line, d.as)
		}
		out = append(out, strings.TrimSpace(line))
	}
	for len(out) > 0 && out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return out
}

// same says how what came differs from what the page shows. JSON is the same however it is laid out.
func same(shown []string, came string) error {
	var want, got any
	if json.Unmarshal([]byte(strings.Join(shown, "\n")), &want) == nil && json.Unmarshal([]byte(came), &got) == nil && reflect.DeepEqual(want, got) {
		return nil
	}
	if !slices.Equal(plain(shown), plain(strings.Split(came, "\n"))) {
		return fmt.Errorf("the page shows\n%s\nand what comes is\n%s\n(compared are\n%s\nand\n%s)", strings.Join(shown, "\n"), came,
			strings.Join(plain(shown), "\n"), strings.Join(plain(strings.Split(came, "\n")), "\n"))
	}
	return nil
}

// inOrder says which of the lines that the page shows does not come after those before it, of what goes on and on.
func inOrder(shown []string) func(came string) error {
	return func(came string) error {
		lines := plain(strings.Split(came, "\n"))
		for _, wanted := range plain(shown) {
			at := slices.Index(lines, wanted)
			if at < 0 {
				return fmt.Errorf("it does not show “%s”, as the page does", wanted)
			}
			lines = lines[at+1:]
		}
		return nil
	}
}

// TestSame shows what is compared, and what is not.
func TestSame(t *testing.T) {
	for _, c := range []struct {
		page, came string
		same       bool
	}{
		{"dbg   up  gdb 4711  1.2 KiB  3d\n", "dbg up gdb 99 0 B 1h02m\n\n", true},
		{"dbg   up  gdb 4711", "dbg   up  -", false},
		{"tcp:lab7:4555", "tcp:lab7:4556", false},
		{"3 links: 2 up; serialhub v1.0.0, pid 4242, up 3d", "3 links: 2 up; serialhub 609914d-dirty, pid 7, up 2s", false}, // a pid has two digits
		{"3 links: 2 up; serialhub v1.0.0, pid 4242, up 3d", "3 links: 2 up; serialhub 609914d-dirty, pid 71, up 2s", true},
		{"3 links: 2 up", "3 links: 3 up", false},
		{"gdb 22 [2001:db8::17]:51234", "gdb 101 [2001:db8::17]:40001", true},
		{"gdb 22 [2001:db8::17]:51234", "gdb 22 [2002:db8::17]:51234", false},
		{"dial tcp 192.0.2.7:4555: refused", "dial tcp 127.0.0.1:4555: refused", false},
		{`{"added": ["console"]}`, "{\n  \"added\": [\n    \"console\"\n  ]\n}", true},
		{`{"added": ["console"]}`, `{"added": []}`, false},
		{"2026-11-23 04:12:07.120  dbg a  peer connected", "2026-12-01 03:00:00.001  dbg a  peer connected", true},
		{"added console; 12 unchanged", "added console; changed dbg; 12 unchanged", false},
		{"one\n\ntwo", "one\ntwo", false},
	} {
		if err := same(strings.Split(c.page, "\n"), c.came); (err == nil) != c.same {
			t.Errorf("%q and %q: %v", c.page, c.came, err)
		}
	}
	for page, fine := range map[string]bool{"b\nc": true, "a\nc": true, "c\nb": false, "d": false} {
		if err := inOrder(strings.Split(page, "\n"))("a\nb\nc"); (err == nil) != fine {
			t.Errorf("%q: %v", page, err)
		}
	}
}
