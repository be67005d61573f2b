package systemd

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"serialhub/test/container"
)

// TestStop stops a hub with two peers: it leaves with status 0, and its sockets with it.
func TestStop(t *testing.T) {
	if !inContainer(t) {
		return
	}
	h := startHub(t, "Type=exec", "dbg")
	a, b := container.Connect(t, h.socket("dbg", "a")), container.Connect(t, h.socket("dbg", "b"))
	container.Converse(t, a, b)

	h.Do(t, "stop")
	h.WantProperties(t, "ActiveState", "inactive", "Result", "success", "ExecMainStatus", "0")
	a.HearEnd(t)
	b.HearEnd(t)
	for _, socket := range []string{h.socket("dbg", "a"), h.socket("dbg", "b"), h.apiSocket()} {
		if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left behind (%v)", socket, err)
		}
	}
}

// TestKill kills a hub: systemd starts it again, and it takes over the sockets that the dead one has left.
func TestKill(t *testing.T) {
	if !inContainer(t) {
		return
	}
	h := startHub(t, "Type=exec\nRestart=always", "dbg")
	a, b := container.Connect(t, h.socket("dbg", "a")), container.Connect(t, h.socket("dbg", "b"))
	container.Converse(t, a, b)
	before := h.Property(t, "MainPID")

	h.Kill(t, "KILL")
	h.WaitProperty(t, "NRestarts", "1")
	h.WaitProperty(t, "ActiveState", "active")
	if after := h.Property(t, "MainPID"); after == before {
		t.Errorf("the hub that was killed is still there, as %s", after)
	}
	a.HearEnd(t)
	b.HearEnd(t)
	h.waitState(t, "dbg", "waiting")
	container.Converse(t, container.Connect(t, h.socket("dbg", "a")), container.Connect(t, h.socket("dbg", "b")))
}

// TestReload has systemd reload a hub: a new link comes, and the peers stay.
func TestReload(t *testing.T) {
	if !inContainer(t) {
		return
	}
	h := startHub(t, "Type=exec\nExecReload=kill -HUP $MAINPID", "dbg")
	a, b := container.Connect(t, h.socket("dbg", "a")), container.Connect(t, h.socket("dbg", "b"))
	container.Converse(t, a, b)

	h.writeLinks(t, "dbg", "console")
	h.Do(t, "reload")
	h.waitState(t, "console", "waiting")
	container.Converse(t, container.Connect(t, h.socket("console", "a")), container.Connect(t, h.socket("console", "b")))
	container.Converse(t, a, b)
	h.WantProperties(t, "NRestarts", "0", "Result", "success")
}
