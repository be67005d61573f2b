package metrics_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const docFile = "../../docs/metrics.md"

var updateDoc = flag.Bool("update", false, "write the table of docs/metrics.md anew")

// TestDocIsCurrent compares the table of the series with what the hub says of them.
func TestDocIsCurrent(t *testing.T) {
	const begin, end = "<!-- series -->\n", "<!-- end of series -->\n"
	text, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := bytes.Cut(text, []byte(begin))
	_, after, closed := bytes.Cut(rest, []byte(end))
	if !found || !closed {
		t.Fatalf("%s has no place for the table", docFile)
	}
	want := slices.Concat(before, []byte(begin+table(t)+end), after)
	if *updateDoc {
		if err := os.WriteFile(docFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Equal(text, want) {
		t.Errorf("%s is not what the hub says; run make generate", docFile)
	}
}

// table makes the table of the hub's own series from a scrape.
func table(t *testing.T) string {
	t.Helper()
	k, types := knownSeries(t), map[string]string{}
	text := scrape(t, newHub(), "")
	for _, found := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(text, -1) {
		types[found[1]] = found[2]
	}
	var out strings.Builder
	out.WriteString("| series | labels | type | what it tells |\n|---|---|---|---|\n")
	for _, found := range regexp.MustCompile(`(?m)^# HELP (serialhub_\S+) (.*)$`).FindAllStringSubmatch(text, -1) {
		var labels []string
		for _, name := range slices.Compact(slices.Sorted(slices.Values(k[found[1]]))) {
			labels = append(labels, "`"+name+"`")
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", found[1], strings.Join(labels, ", "), types[found[1]], found[2])
	}
	return out.String()
}
