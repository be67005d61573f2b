package pkg

import (
	"strings"
	"testing"

	"serialhub/test/container"
)

// TestUserUnit runs the hub of a user by his own service manager, beside the system's: it outlives kill -9 with peers, reloads, and nobody else can
// call its API.
func TestUserUnit(t *testing.T) {
	if !inDebian(t) {
		return
	}
	install(t, older)
	const runtime = "/run/user/1000"
	run(t, "systemctl start dbus.socket systemd-logind.service && useradd --create-home --uid 1000 tester && loginctl enable-linger tester")
	container.Unit("user@1000.service").WaitProperty(t, "ActiveState", "active")
	t.Cleanup(func() {
		if t.Failed() {
			journal, _ := container.Run("journalctl", "--no-pager", "--quiet", "_UID=1000")
			t.Log(journal)
		}
	})
	as := func(line string) string {
		t.Helper()
		return run(t, "cd / && runuser -u tester -- env HOME=/home/tester XDG_RUNTIME_DIR="+runtime+" SERIALHUB_API=unix:"+runtime+"/serialhub/api.sock bash -euc '"+line+"'")
	}
	property := func(name string) string {
		t.Helper()
		return as("systemctl --user show --property=" + name + " --value serialhub")
	}

	as(`mkdir -p ~/.config/serialhub && printf "links:\n  - {name: dbg, a: $XDG_RUNTIME_DIR/serialhub/dbg-a, b: $XDG_RUNTIME_DIR/serialhub/dbg-b}\n" >~/.config/serialhub/links.yaml`)
	as("systemctl --user enable --now serialhub")
	if state := property("ActiveState"); state != "active" {
		t.Fatalf("the user's hub is %s", state)
	}
	as("serialhub status dbg")
	if said, err := container.Run("runuser", "-u", "nobody", "--", "curl", "-fsS", "--unix-socket", runtime+"/serialhub/api.sock", "http://localhost/links"); err == nil {
		t.Errorf("another user may call it: %s", said)
	}
	wantVersion(t, older) // of the system's

	a, b := container.Connect(t, runtime+"/serialhub/dbg-a"), container.Connect(t, runtime+"/serialhub/dbg-b")
	streams := container.StartStreams(a, b)
	kills := 0
	for _, line := range []string{
		"systemctl --user kill --signal=KILL serialhub", "systemctl --user restart serialhub", "systemctl --user kill --signal=KILL serialhub",
		`printf "  - {name: more, a: $XDG_RUNTIME_DIR/serialhub/more-a, b: $XDG_RUNTIME_DIR/serialhub/more-b}\n" >>~/.config/serialhub/links.yaml && systemctl --user reload serialhub && serialhub status more`,
	} {
		as(line)
		if strings.Contains(line, "KILL") {
			kills++
			container.Eventually(t, "waiting for the next hub", func() error {
				_, err := container.Run("runuser", "-u", "tester", "--", "serialhub", "status", "--api", "unix:"+runtime+"/serialhub/api.sock")
				return err
			})
		}
		for _, s := range streams {
			s.Flow(t)
		}
	}
	for _, s := range streams {
		s.Finish(t)
	}
	container.Converse(t, a, b)
	if restarts := property("NRestarts"); restarts != "1" && restarts != "2" { // a restart begins to count anew
		t.Errorf("after %d kills it was started again %s times", kills, restarts)
	}
	as("systemctl --user stop serialhub")
	a.HearEnd(t)
	if exists(runtime + "/serialhub") {
		t.Error("the user's sockets are left behind")
	}
}
