package systemd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"serialhub/test/container"
)

// TestUnitsAreClean lets systemd look for faults in the packaged units, and rate how much the hub may do.
func TestUnitsAreClean(t *testing.T) {
	if !inContainer(t) {
		return
	}
	h := packaged(t, "")
	container.WriteUnit(t, "serialhub@.socket", packagedText(t, "serialhub@.socket"))
	output, err := container.Run("systemd-analyze", "verify", "--man=no", string(h.Unit), "serialhub@dbg.a.socket")
	if err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(output) {
		if strings.Contains(line, "serialhub") { // what it says of others is not ours
			t.Errorf("systemd-analyze says %s", line)
		}
	}
	// In tenths: below 2.0.
	if _, err := container.Run("systemd-analyze", "security", "--offline=true", "--threshold=19", string(h.Unit)); err != nil {
		t.Error(err)
	}
}

// TestConfinedHub does what the packaged unit's restrictions could be in the way of: a socket in /tmp, one for a group, and the
// command of a peer that is another user's.
func TestConfinedHub(t *testing.T) {
	if !inContainer(t) {
		return
	}
	h := packaged(t, "SupplementaryGroups=tty\n")
	h.writeConfig(t, "  - {name: dbg, a: /tmp/dbg.a, b: {listen: /run/serialhub/dbg.b, mode: '0660', group: tty}}\n")
	h.start(t, "dbg")
	container.Converse(t, container.Connect(t, "/tmp/dbg.a"), container.Connect(t, "/run/serialhub/dbg.b"))
	h.waitState(t, "dbg", "up")

	var link struct {
		Ends map[string]struct {
			Peer struct {
				UID     int
				Command string
			}
		}
	}
	if err := h.get("/links/dbg", &link); err != nil {
		t.Fatal(err)
	}
	if peer := link.Ends["a"].Peer; peer.UID != os.Getuid() || peer.Command != filepath.Base(os.Args[0]) {
		t.Errorf("the hub takes the peer for %+v", peer)
	}
	if output, err := container.Run("stat", "--format=%U %G %a", "/run/serialhub/dbg.b"); err != nil || output != "serialhub tty 660" {
		t.Errorf("the socket belongs to %q, %v", output, err)
	}
	h.Do(t, "stop")
	h.start(t, "dbg") // and takes over what is left in /tmp
}
