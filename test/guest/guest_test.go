package guest

import (
	"strings"
	"syscall"
	"testing"
)

// TestRun runs programs in one guest: what they say and how they end comes back, of two at a time as well.
func TestRun(t *testing.T) {
	g := startGuest(t)
	output, code := g.run(t, "sh", "-c", "uname -sr; echo a complaint >&2; exit 7")
	if !strings.HasPrefix(output, "Linux ") || !strings.HasSuffix(output, "\na complaint\n") || code != 7 {
		t.Errorf("the program said %q and ended with %d", output, code)
	}

	waiting := g.start(t, "sh", "-c", "echo ready; sleep 1000")
	waiting.hear(t, "ready")
	g.write(t, "/tmp/new/script", []byte("#!/bin/sh\necho $1"))
	if output, code := g.run(t, "/tmp/new/script", "fine"); output != "fine\n" || code != 0 {
		t.Errorf("the script said %q and ended with %d", output, code)
	}
	waiting.signal(t, syscall.SIGTERM)
	if _, code := waiting.wait(t); code != -1 {
		t.Errorf("the program that was sent a signal ended with %d", code)
	}
}

// TestPackage runs the tests of another package on the guest's kernel.
func TestPackage(t *testing.T) {
	g := startGuest(t)
	// What TLS does is the same on any kernel, and takes long here.
	if output, code := g.runTests(t, "serialhub/internal/endpoint", "-test.v", "-test.skip=TLS"); code != 0 {
		t.Errorf("they ended with %d:\n%s", code, output)
	}
}
