package systemd

import (
	"os"
	"path/filepath"
	"testing"

	"serialhub/test/container"
)

// packaged is a hub as packaging/ has it: its own user, its unit, its places. It does not run yet. A drop-in, which
// may be empty, changes the unit.
func packaged(t *testing.T, dropIn string) hub {
	t.Helper()
	if _, err := container.Run("systemd-sysusers", container.Path("packaging/sysusers.d/serialhub.conf")); err != nil {
		t.Fatal(err)
	}
	h := hub{config: "/etc/serialhub/links.yaml", sockets: "/run/serialhub"}
	container.WriteFile(t, "/etc/systemd/system/serialhub.service.d/test.conf", "[Service]\n"+dropIn)
	h.Unit = container.WriteUnit(t, "serialhub.service", packagedText(t, "serialhub.service"))
	return h
}

// startPackaged starts a packaged hub with one link, connects a peer to each of its ends, and lets both talk.
func startPackaged(t *testing.T, dropIn string) (h hub, a, b container.Peer) {
	t.Helper()
	h = packaged(t, dropIn)
	h.writeLinks(t, "dbg")
	h.start(t, "dbg")
	a, b = container.Connect(t, h.socket("dbg", "a")), container.Connect(t, h.socket("dbg", "b"))
	container.Converse(t, a, b)
	return h, a, b
}

// packagedText is a packaged unit's file.
func packagedText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(container.Path("packaging/systemd"), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
