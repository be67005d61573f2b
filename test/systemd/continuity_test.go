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

	"serialhub/test/container"
)

// goOn wants two peers who talk without a pause to notice nothing of something that is done to their hub, again and again.
func goOn(t *testing.T, a, b container.Peer, times int, do func()) {
	t.Helper()
	streams := container.StartStreams(a, b)
	for range times {
		do()
		for _, s := range streams {
			s.Flow(t)
		}
	}
	for _, s := range streams {
		s.Finish(t)
	}
	container.Converse(t, a, b)
}

// TestRestart restarts a hub under two peers who talk.
func TestRestart(t *testing.T) {
	if !inContainer(t) {
		return
	}
	h, a, b := startPackaged(t, "")
	goOn(t, a, b, 5, func() { h.Do(t, "restart") })
	h.WantProperties(t, "ActiveState", "active", "Result", "success", "NRestarts", "0")
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
		h.Kill(t, "KILL")
		h.WaitProperty(t, "NRestarts", fmt.Sprint(kills))
	})
	h.WaitProperty(t, "ActiveState", "active")
}

// TestWatchdog stops a hub's process: systemd kills it when it has not been heard of for a while, and the link goes on.
func TestWatchdog(t *testing.T) {
	if !inContainer(t) {
		return
	}
	h, a, b := startPackaged(t, "WatchdogSec=500ms\nTimeoutAbortSec=200ms\n")
	goOn(t, a, b, 1, func() {
		h.Kill(t, "STOP")
		h.WaitProperty(t, "NRestarts", "1")
	})
	h.WaitProperty(t, "ActiveState", "active")
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
	before := h.Property(t, "MainPID")

	replace(t, program, []byte("not a program"))
	h.Kill(t, "USR2")
	container.Eventually(t, "waiting for the hub to refuse", func() error {
		if !strings.Contains(h.LastWords(), "not upgraded") {
			return errors.New("it has not said so")
		}
		return nil
	})
	h.wantVersion(t, release)

	versions := []string{other, release, other}
	goOn(t, a, b, len(versions), func() {
		replace(t, program, bytes.ReplaceAll(original, []byte(release), []byte(versions[0])))
		h.Kill(t, "USR2")
		container.Eventually(t, "waiting for the new program", func() error { return h.isVersion(versions[0]) })
		versions = versions[1:]
	})
	h.WantProperties(t, "MainPID", before, "NRestarts", "0", "ActiveState", "active", "SubState", "running")
	h.Do(t, "restart")
	container.Converse(t, a, b)
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
		h.Do(t, "reload")
		if err := h.get("/links/more", new(any)); err != nil {
			t.Error("after a reload that brings a link: ", err)
		}
		h.writeLinks(t, "dbg")
		h.Do(t, "reload")
		if err := h.get("/links/more", new(any)); err == nil {
			t.Error("after a reload that takes a link away, it is there")
		}
	}

	h.writeConfig(t, "  - {name: dbg, a: 1, c: 2}\n")
	if _, err := container.Run("systemctl", "reload", string(h.Unit)); err == nil {
		t.Error("a bad file is reloaded with success")
	}
	h.WantProperties(t, "ActiveState", "active", "SubState", "running", "ReloadResult", "exit-code", "NRestarts", "0")
	container.Converse(t, a, b)

	h.writeLinks(t, "dbg", "more")
	h.Do(t, "reload")
	h.WantProperties(t, "ReloadResult", "success")
	h.waitState(t, "more", "waiting")
	container.Converse(t, a, b)
}

// TestBadFileAtRestart restarts a hub whose file has become bad: the peers wait until somebody has mended it.
func TestBadFileAtRestart(t *testing.T) {
	if !inContainer(t) {
		return
	}
	h, a, b := startPackaged(t, "")
	h.writeConfig(t, "  - {name: dbg, a: 1, c: 2}\n")
	if _, err := container.Run("systemctl", "restart", string(h.Unit)); err == nil {
		t.Error("a hub with a bad file starts with success")
	}
	a.Say(t, "said while there is no hub")
	h.writeLinks(t, "dbg")
	b.Hear(t, "said while there is no hub")
	container.Converse(t, a, b)
	h.WaitProperty(t, "ActiveState", "active")
}

// TestStopAndStart stops a hub: its peers' connections are closed, and nothing of them is there when it starts again.
func TestStopAndStart(t *testing.T) {
	if !inContainer(t) {
		return
	}
	h, a, b := startPackaged(t, "")
	h.Do(t, "stop")
	h.WantProperties(t, "ActiveState", "inactive", "Result", "success", "ExecMainStatus", "0", "NFileDescriptorStore", "0")
	a.HearEnd(t)
	b.HearEnd(t)
	if _, err := os.Lstat(h.sockets); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left behind (%v)", h.sockets, err)
	}
	h.start(t, "dbg")
	container.Converse(t, container.Connect(t, h.socket("dbg", "a")), container.Connect(t, h.socket("dbg", "b")))
}
