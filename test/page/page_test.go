package page_test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"serialhub/test/page"
)

const markdown = "# A *page* of [links](other.md#there)\n\n" +
	"*Not run.*\n\n```sh\n# a remark\nmake run   # a hub\n\ncurl -s \\\n  http://localhost\ncat >f <<'EOF'\na: 'b\nEOF\necho 'one\ntwo'\n```\n\n" +
	"## What it says: `status`\n\n```console\n$ serialhub status\nNAME  STATE\n\ndbg   up\n# whoami\nroot\n```\n\n![a picture](p.png)\n\n```\ntext\n```\n\n" +
	"a `span` of code\n\n| promise | proof |\n|---|---|\n| *none* is lost | `TestOne`, `TestTwo` |\n"

func TestPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte(markdown), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := page.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := []page.Link{{1, "other.md#there"}, {29, "p.png"}}; !reflect.DeepEqual(p.Links, want) {
		t.Errorf("links %v, want %v", p.Links, want)
	}
	if want := []string{"a-page-of-links", "what-it-says-status"}; !reflect.DeepEqual(p.IDs, want) {
		t.Errorf("ids %q, want %q", p.IDs, want)
	}
	if want := []page.Span{{18, "status"}, {35, "span"}, {39, "TestOne"}, {39, "TestTwo"}}; !reflect.DeepEqual(p.Spans, want) {
		t.Errorf("spans %v, want %v", p.Spans, want)
	}
	if want := []page.Row{{39, []page.Cell{{"none is lost", nil}, {"TestOne, TestTwo", []string{"TestOne", "TestTwo"}}}}}; !reflect.DeepEqual(p.Rows, want) {
		t.Errorf("rows %v, want %v", p.Rows, want)
	}
	if len(p.Blocks) != 3 {
		t.Fatalf("%d blocks: %+v", len(p.Blocks), p.Blocks)
	}
	sh, console, plain := p.Blocks[0], p.Blocks[1], p.Blocks[2]
	if sh.Language != "sh" || sh.Heading != "A page of links" || sh.Before != "Not run." || sh.Line != 6 {
		t.Errorf("the first block is %+v", sh)
	}
	if plain.Language != "" || plain.Text != "text\n" {
		t.Errorf("the last block is %+v", plain)
	}
	if got, want := sh.Commands(), []page.Command{
		{Line: 7, Text: "make run   # a hub"},
		{Line: 9, Text: "curl -s \\\n  http://localhost"},
		{Line: 11, Text: "cat >f <<'EOF'\na: 'b\nEOF"},
		{Line: 14, Text: "echo 'one\ntwo'"},
	}; !reflect.DeepEqual(got, want) {
		t.Errorf("commands\n%+v, want\n%+v", got, want)
	}
	if got, want := console.Commands(), []page.Command{
		{Line: 21, Text: "serialhub status", Output: []string{"NAME  STATE", "", "dbg   up"}},
		{Line: 25, Text: "whoami", Output: []string{"root"}},
	}; !reflect.DeepEqual(got, want) {
		t.Errorf("commands\n%+v, want\n%+v", got, want)
	}
}
