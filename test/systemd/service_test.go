package systemd

import (
	"errors"
	"io/fs"
	"os"
	"testing"
)

// TestStop stops a hub with two peers: it leaves with status 0, and its sockets with it.
func TestStop(t *testing.T) {
	if !inContainer(t) {
		return
	}
	h := startHub(t, "Type=exec", "dbg")
	a, b := connect(t, h.socket("dbg", "a")), connect(t, h.socket("dbg", "b"))
	converse(t, a, b)

	h.do(t, "stop")
	h.wantProperties(t, "ActiveState", "inactive", "Result", "success", "ExecMainStatus", "0")
	a.hearEnd(t)
	b.hearEnd(t)
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
	a, b := connect(t, h.socket("dbg", "a")), connect(t, h.socket("dbg", "b"))
	converse(t, a, b)
	before := h.property(t, "MainPID")

	h.kill(t, "KILL")
	h.waitProperty(t, "NRestarts", "1")
	h.waitProperty(t, "ActiveState", "active")
	if after := h.property(t, "MainPID"); after == before {
		t.Errorf("the hub that was killed is still there, as %s", after)
	}
	a.hearEnd(t)
	b.hearEnd(t)
	h.waitState(t, "dbg", "waiting")
	converse(t, connect(t, h.socket("dbg", "a")), connect(t, h.socket("dbg", "b")))
}

// TestReload has systemd reload a hub: a new link comes, and the peers stay.
func TestReload(t *testing.T) {
	if !inContainer(t) {
		return
	}
	h := startHub(t, "Type=exec\nExecReload=kill -HUP $MAINPID", "dbg")
	a, b := connect(t, h.socket("dbg", "a")), connect(t, h.socket("dbg", "b"))
	converse(t, a, b)

	h.writeLinks(t, "dbg", "console")
	h.do(t, "reload")
	h.waitState(t, "console", "waiting")
	converse(t, connect(t, h.socket("console", "a")), connect(t, h.socket("console", "b")))
	converse(t, a, b)
	h.wantProperties(t, "NRestarts", "0", "Result", "success")
}
