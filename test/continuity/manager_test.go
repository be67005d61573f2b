package continuity

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestManagerKeepsWhatSystemdKeeps tries the manager on a service that stores, is killed, finds its descriptors and removes some.
func TestManagerKeepsWhatSystemdKeeps(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := newService(t, self, true, "  []\n")
	run := func(what string, want ...string) {
		t.Helper()
		said := len(s.manager.heard())
		s.env = []string{standInVariable + "=" + what}
		s.start()
		s.manager.awaitNotice(t, said, "READY=1")
		s.kill()
		if got := s.manager.names(); !slices.Equal(got, want) {
			t.Errorf("after %s there is %q, want %q", what, got, want)
		}
	}
	run("store", "kept", "x", "x.a") // again is the same open file as x, and polled has hung up
	run("remove", "kept", "x.a")
	run("nothing", "kept", "x.a")
	for _, want := range []string{"FDS 3 true ", "FDS 2 true ", "x one", "x.a other"} {
		if !strings.Contains(s.log(), want) {
			t.Errorf("the service has not seen %q", want)
		}
	}
}
