package systemd

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// goOn wants two peers who talk without a pause to notice nothing of something that is done to their hub, again and again.
func goOn(t *testing.T, a, b peer, times int, do func()) {
	t.Helper()
	streams := startStreams(a, b)
	for range times {
		do()
		for _, s := range streams {
			s.flow(t)
		}
	}
	for _, s := range streams {
		s.finish(t)
	}
	converse(t, a, b)
}

// TestRestart restarts a hub under two peers who talk.
func TestRestart(t *testing.T) {
	if !inContainer(t) {
		return
	}
	h, a, b := startPackaged(t, "")
	goOn(t, a, b, 5, func() { h.do(t, "restart") })
	h.wantProperties(t, "ActiveState", "active", "Result", "success", "NRestarts", "0")
}

// TestKillUnderTraffic kills a hub under two peers who talk.
func TestKillUnderTraffic(t *testing.T) {
	if !inContainer(t) {
		return
	}
	h, a, b := startPackaged(t, "")
	kills := 0
	goOn(t, a, b, 5, func() {
		kills++
		h.kill(t, "KILL")
		h.waitProperty(t, "NRestarts", fmt.Sprint(kills))
	})
	h.waitProperty(t, "ActiveState", "active")
}

// TestWatchdog stops a hub's process: systemd kills it when it has not been heard of for a while, and the link goes on.
func TestWatchdog(t *testing.T) {
	if !inContainer(t) {
		return
	}
	h, a, b := startPackaged(t, "WatchdogSec=500ms\nTimeoutAbortSec=200ms\n")
	goOn(t, a, b, 1, func() {
		h.kill(t, "STOP")
		h.waitProperty(t, "NRestarts", "1")
	})
	h.waitProperty(t, "ActiveState", "active")
}

// TestUpgrade replaces the program on the disk, and tells the hub to become the new one.
func TestUpgrade(t *testing.T) {
	if !inContainer(t) {
		return
	}
	const program, other = "/opt/serialhub/serialhub", "another-release-it"
	original, err := os.ReadFile("/usr/local/bin/serialhub")
	if err != nil {
		t.Fatal(err)
	}
	replace(t, program, original)
	h, a, b := startPackaged(t, "ExecStart=\nExecStart="+program+" -c /etc/serialhub/links.yaml\n")
	h.wantVersion(t, release)
	before := h.property(t, "MainPID")

	replace(t, program, []byte("not a program"))
	h.kill(t, "USR2")
	eventually(t, "waiting for the hub to refuse", func() error {
		if !strings.Contains(h.lastWords(), "not upgraded") {
			return errors.New("it has not said so")
		}
		return nil
	})
	h.wantVersion(t, release)

	versions := []string{other, release, other}
	goOn(t, a, b, len(versions), func() {
		replace(t, program, bytes.ReplaceAll(original, []byte(release), []byte(versions[0])))
		h.kill(t, "USR2")
		eventually(t, "waiting for the new program", func() error { return h.isVersion(versions[0]) })
		versions = versions[1:]
	})
	h.wantProperties(t, "MainPID", before, "NRestarts", "0", "ActiveState", "active", "SubState", "running")
	h.do(t, "restart")
	converse(t, a, b)
}

// replace puts a program where another one may be running.
func replace(t *testing.T, program string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program+".new", content, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(program+".new", program); err != nil {
		t.Fatal(err)
	}
}

// wantVersion wants the hub to be of a version.
func (h hub) wantVersion(t *testing.T, version string) {
	t.Helper()
	if err := h.isVersion(version); err != nil {
		t.Error(err)
	}
}

func (h hub) isVersion(version string) error {
	var status struct{ Version string }
	if err := h.get("/status", &status); err != nil {
		return err
	}
	if status.Version != version {
		return fmt.Errorf("the hub is version %s, not %s", status.Version, version)
	}
	return nil
}

// TestReloadWaits has systemd reload a hub: when systemctl returns, that is done, and if the file is bad it says so.
func TestReloadWaits(t *testing.T) {
	if !inContainer(t) {
		return
	}
	h, a, b := startPackaged(t, "")
	for range 10 {
		h.writeLinks(t, "dbg", "more")
		h.do(t, "reload")
		if err := h.get("/links/more", new(any)); err != nil {
			t.Error("after a reload that brings a link: ", err)
		}
		h.writeLinks(t, "dbg")
		h.do(t, "reload")
		if err := h.get("/links/more", new(any)); err == nil {
			t.Error("after a reload that takes a link away, it is there")
		}
	}

	h.writeConfig(t, "  - {name: dbg, a: 1, c: 2}\n")
	if _, err := run("systemctl", "reload", string(h.unit)); err == nil {
		t.Error("a bad file is reloaded with success")
	}
	h.wantProperties(t, "ActiveState", "active", "SubState", "running", "ReloadResult", "exit-code", "NRestarts", "0")
	converse(t, a, b)

	h.writeLinks(t, "dbg", "more")
	h.do(t, "reload")
	h.wantProperties(t, "ReloadResult", "success")
	h.waitState(t, "more", "waiting")
	converse(t, a, b)
}

// TestBadFileAtRestart restarts a hub whose file has become bad: the peers wait until somebody has mended it.
func TestBadFileAtRestart(t *testing.T) {
	if !inContainer(t) {
		return
	}
	h, a, b := startPackaged(t, "")
	h.writeConfig(t, "  - {name: dbg, a: 1, c: 2}\n")
	if _, err := run("systemctl", "restart", string(h.unit)); err == nil {
		t.Error("a hub with a bad file starts with success")
	}
	a.say(t, "said while there is no hub")
	h.writeLinks(t, "dbg")
	b.hear(t, "said while there is no hub")
	converse(t, a, b)
	h.waitProperty(t, "ActiveState", "active")
}

// TestStopAndStart stops a hub: its peers' connections are closed, and nothing of them is there when it starts again.
func TestStopAndStart(t *testing.T) {
	if !inContainer(t) {
		return
	}
	h, a, b := startPackaged(t, "")
	h.do(t, "stop")
	h.wantProperties(t, "ActiveState", "inactive", "Result", "success", "ExecMainStatus", "0", "NFileDescriptorStore", "0")
	a.hearEnd(t)
	b.hearEnd(t)
	if _, err := os.Lstat(h.sockets); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left behind (%v)", h.sockets, err)
	}
	h.start(t, "dbg")
	converse(t, connect(t, h.socket("dbg", "a")), connect(t, h.socket("dbg", "b")))
}
