package access

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Users who are nobody else's, and a group.
const (
	alice, bob, friends = 64101, 64102, 64103
)

// as runs curl as another user, who is in a group.
func as(uid, gid uint32) func(*exec.Cmd) {
	return func(command *exec.Cmd) {
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
		command.Dir = "/"
	}
}

// TestUsersOfTheSocket come in as far as the file's mode and allow_uids let them.
func TestUsersOfTheSocket(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("SERIALHUB_TOOLS") == "1" {
			t.Fatal("only root can be somebody else")
		}
		t.Skip("only root can be somebody else")
	}
	long := "listen: ['unix:api', {listen: 'unix:team', mode: '0660', group: 64103}, {listen: 'unix:some', mode: '0666', allow_uids: [64101]}]"
	h := startHub(t, long+", token_file: tokens", withTokens, func(h *hub) {
		if err := os.Chmod(h.dir, 0o755); err != nil {
			t.Fatal(err)
		}
	})
	ask := func(socket string, uid, gid uint32) (answer, int) {
		return curlBy(t, as(uid, gid), "--unix-socket", h.path(socket), "-X", "POST", "http://localhost/links/dbg/reset")
	}
	const shut = 7 // curl could not connect
	for _, row := range []struct {
		socket       string
		uid, gid     uint32
		status, code int
	}{
		{"api", 0, 0, 200, 0},
		{"api", alice, alice, 0, shut},
		{"team", alice, friends, 200, 0},
		{"team", bob, bob, 0, shut},
		{"some", alice, alice, 200, 0},
		{"some", bob, bob, 403, 0},
		{"some", 0, 0, 403, 0}, // root is not in the list
	} {
		got, code := ask(row.socket, row.uid, row.gid)
		if got.status != row.status || code != row.code {
			t.Errorf("%s as %d: %+v, and curl ends with %d", row.socket, row.uid, got, code)
		}
		if row.status == 403 && !strings.Contains(got.body, "may not call this hub; allow_uids at unix:") {
			t.Errorf("it says %s", got.body)
		}
	}
	h.logs(`"msg":"audit"`, `"who":"uid 64101"`, `"from":"curl, pid `)
	h.logs("a caller of the API is refused", `"who":"uid 64102"`)
	for name, want := range map[string]os.FileMode{"api": 0o600, "team": 0o660, "some": 0o666} {
		if info, err := os.Stat(h.path(name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s is %v, %v", name, info, err)
		}
	}

	// A reload changes the files and the list in place; one that cannot changes nothing.
	h.configure("listen: ['unix:api', {listen: 'unix:team', mode: '0600'}, {listen: 'unix:some', mode: '0666', group: nosuchgroup}]")
	if got := h.ask("POST", "/reload"); got.status != 422 || !strings.Contains(got.body, "nosuchgroup") {
		t.Errorf("a group that there is not: %+v", got)
	}
	if _, code := ask("team", alice, friends); code != 0 {
		t.Errorf("after a reload that failed, curl ends with %d", code)
	}
	h.configure("listen: ['unix:api', {listen: 'unix:team', mode: '0600'}, {listen: 'unix:some', mode: '0666', allow_uids: [64102]}]")
	h.cmd.Process.Signal(unix.SIGHUP)
	h.logs("config reloaded")
	if _, code := ask("team", alice, friends); code != shut {
		t.Errorf("after the reload, curl ends with %d", code)
	}
	for uid, want := range map[uint32]int{alice: 403, bob: 200} {
		if got, _ := ask("some", uid, uid); got.status != want {
			t.Errorf("after the reload, as %d: %+v", uid, got)
		}
	}
}
