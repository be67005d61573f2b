package testenv

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// HopelessError ends Eventually at once: waiting longer cannot help.
type HopelessError struct{ error }

// Hopeless makes an error one that ends Eventually at once.
func Hopeless(err error) error { return &HopelessError{err} }

// Eventually polls a condition until it holds; its last error says what was still wrong when patience ran out.
func Eventually(t testing.TB, patience time.Duration, what string, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for ; ; <-poll.C {
		err := condition()
		if err == nil {
			return
		}
		if hopeless := (*HopelessError)(nil); errors.As(err, &hopeless) || time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// Tail is the end of a long text, for messages.
func Tail(text string) string {
	const most = 8192
	if len(text) > most {
		return "…" + text[len(text)-most:]
	}
	return text
}

// Need skips a test of a suite that has a setup.sh if something is absent which that would have installed; or fails it, if the environment says that
// it has been run: SERIALHUB_E2E=1 for test/e2e.
func Need(t testing.TB, suite string, absent []string) {
	t.Helper()
	if len(absent) == 0 {
		return
	}
	complaint := "missing: " + strings.Join(absent, ", ") + " (run test/" + suite + "/setup.sh)"
	if os.Getenv("SERIALHUB_"+strings.ToUpper(suite)) == "1" {
		t.Fatal(complaint)
	}
	t.Skip(complaint)
}

// Program finds a foreign program that a test needs. Without it the test is skipped, and says so; or it fails, if the environment says that all are there:
// SERIALHUB_TOOLS=1, as in CI.
func Program(t testing.TB, name string) (path string) {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
	case os.Getenv("SERIALHUB_TOOLS") == "1":
		t.Fatalf("%s is missing: apt-get install %[1]s", name)
	default:
		t.Skipf("%s is missing: apt-get install %[1]s", name)
	}
	return path
}
