// Package testenv is what the tests of several packages need of the machine that they run on.
package testenv

import (
	"os"
	"testing"
)

// Dir makes a folder that lives as long as the test. Its name is short, so that it leaves room for the 107 bytes of a
// socket's path, which that of t.TempDir may not.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hub")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// NoDescriptorsLeft fails the test if, when it and the clean-up that it registers from now on have ended, other than as
// many descriptors are open as now. Tests that use it cannot run in parallel with others.
func NoDescriptorsLeft(t testing.TB) {
	t.Helper()
	before := descriptors(t)
	t.Cleanup(func() {
		if after := descriptors(t); after != before {
			t.Errorf("%d descriptors are open, %d were before the test", after, before)
		}
	})
}

func descriptors(t testing.TB) int {
	t.Helper()
	// The runtime opens two for its own poller when it first needs it.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
