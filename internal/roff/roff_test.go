package roff_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"serialhub/internal/roff"
	"serialhub/internal/testenv"
)

// TestPage has man show a page with every character that means something to it.
func TestPage(t *testing.T) {
	groff := testenv.Program(t, "groff")
	page := roff.NewPage("some-thing", 1, "do it, \"quoted\"")
	page.Section("DESCRIPTION")
	page.Text(".begins with a dot\n'begins with a quote\nand --flag\\r, A→B…\n\n  verbatim  --x\n  'y' \"z\" ~^`\n\nmore-or-less")
	page.Section("OPTIONS")
	page.Item("--end a|b", "Which end.")
	file := filepath.Join(t.TempDir(), "page.1")
	if err := os.WriteFile(file, []byte(page.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	said, err := exec.Command(groff, "-man", "-ww", "-Tutf8", "-P-cbou", file).CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	shown := strings.Join(strings.Fields(string(said)), " ")
	for _, want := range []string{
		`some-thing - do it, "quoted"`,
		`.begins with a dot 'begins with a quote and --flag\r, A→B…`,
		"verbatim --x 'y' \"z\" ~^`", "more-or-less", "--end a|b Which end.",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is not in\n%s", want, shown)
		}
	}
}
