package ends

import (
	"os"
	"testing"
	"time"
)

// noDescriptorsLeft fails the test if, when it has ended, more descriptors stay open than now. Some are closed a moment after the hub has ended:
// close(2) of a serial port may block, and so has a goroutine.
func noDescriptorsLeft(t *testing.T) {
	t.Helper()
	before := descriptors(t)
	t.Cleanup(func() {
		deadline := time.After(patience)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for len(descriptors(t)) > len(before) {
			select {
			case <-tick.C:
			case <-deadline:
				for fd, what := range descriptors(t) {
					if before[fd] != what {
						t.Errorf("descriptor %s is left: %s", fd, what)
					}
				}
				return
			}
		}
	})
}

// descriptors are those that are open, and what each is.
func descriptors(t *testing.T) map[string]string {
	t.Helper()
	r, w, err := os.Pipe() // the runtime opens two for its own poller when it first needs it
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	w.Close()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	open := map[string]string{}
	for _, entry := range entries {
		if what, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil { // not the folder's own
			open[entry.Name()] = what
		}
	}
	return open
}
