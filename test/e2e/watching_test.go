package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// call runs a command of the hub's program, and returns what it prints.
func (h *hub) call(t *testing.T, args ...string) string {
	t.Helper()
	command := exec.Command(hubBinary, append(args, "--api", h.api)...)
	var errs bytes.Buffer
	command.Stderr = &errs
	out, err := command.Output()
	if err != nil {
		t.Fatalf("serialhub %s: %v: %s", strings.Join(args, " "), err, &errs)
	}
	return string(out)
}

// TestLastWords boots a VM whose console is a link with nobody at the other end, speaks to its shell by commands alone, and crashes its kernel. What it
// said is there afterwards.
func TestLastWords(t *testing.T) {
	needTools(t)
	h := newHub(t)
	h.start(t, fmt.Sprintf("  - {name: console, a: a, b: b, scrollback: 64KiB, transcript: '%s/{link}.log'}\n", h.dir))
	h.call(t, "wait", "console", "--for", "waiting")
	g := startGuest(t, "console", filepath.Join(h.dir, "a"), consoleLink)

	h.call(t, "send", "console", "--to", "a", `\r`)
	h.call(t, "wait", "console", "--end", "a", "--text", "/ # ", "--since-start")
	h.call(t, "send", "console", "--to", "a", `echo answer: $((6*7))\r`)
	h.call(t, "wait", "console", "--end", "a", "--regex", `^answer: 42\r?$`, "--since-start")
	h.call(t, "send", "console", "--to", "a", `echo c >/proc/sysrq-trigger\r`)
	h.call(t, "wait", "console", "--text", "Kernel panic", "--since-start", "--timeout", patience.String())
	g.kill(t)
	h.waitState(t, "console", "waiting")

	last := h.call(t, "tap", "console", "--since-start", "--no-follow", "--format", "text", "--end", "a")
	for _, words := range []string{"echo answer: $((6*7))", "a> answer: 42\n", "sysrq: Trigger a crash", "Kernel panic - not syncing: sysrq triggered crash"} {
		if !strings.Contains(last, words) {
			t.Errorf("%q is not among the last words", words)
		}
	}
	if strings.ContainsRune(last, '\x1b') {
		t.Error("an escape sequence gets through")
	}
	eventually(t, "the transcript has all of it", func() error {
		text, err := os.ReadFile(filepath.Join(h.dir, "console.log"))
		for _, words := range []string{"Linux version", "echo answer: $((6*7))", "a> answer: 42\n", "Kernel panic"} {
			if err == nil && !bytes.Contains(text, []byte(words)) {
				err = fmt.Errorf("%q is not in it", words)
			}
		}
		return err
	})
	if t.Failed() {
		t.Logf("the last words:\n%s", last)
	}
}
