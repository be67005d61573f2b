package e2e

import (
	"fmt"
	"os/exec"
	"testing"
)

// TestTwoVMsOutliveTheirHub joins two VMs that would never connect again by a hub that systemd runs. Between them goes on
// a shell session, and data both ways, while the hub is restarted, killed and replaced by another version.
func TestTwoVMsOutliveTheirHub(t *testing.T) {
	needTools(t)
	needContainer(t)
	s := startService(t, "pair")
	a := startGuest(t, "a", s.socket("pair", "a"), quietLink)
	b := startGuest(t, "b", s.socket("pair", "b"), quietLink)
	events := []struct {
		name string
		do   func()
	}{
		{"restart", func() { s.run(t, "systemctl restart serialhub") }},
		{"SIGKILL", func() { s.kill(t, "KILL") }},
		{"upgrade", func() { s.upgrade(t) }},
	}

	openShell(t, b)
	count(t, a, 1)
	for i, event := range events {
		event.do()
		count(t, a, i+2)
	}
	closeShell(t, a, b)

	for _, event := range events {
		before := s.received(t, "pair", "a")
		crossDataDuring(t, a, b, 64<<10, func() {
			eventually(t, "waiting for data before the "+event.name, func() error {
				if got := s.received(t, "pair", "a"); got < before+1<<10 {
					return fmt.Errorf("%d bytes have come", got-before)
				}
				return nil
			})
			event.do()
		})
	}
}

// needContainer is needTools for what the container needs.
func needContainer(t *testing.T) {
	t.Helper()
	for _, name := range []string{"systemd-nspawn", "systemctl", "unshare", "bash"} {
		if _, err := exec.LookPath(name); err != nil {
			complaint := fmt.Sprintf("missing: the program %s (run test/systemd/setup.sh)", name)
			if demanded() {
				t.Fatal(complaint)
			}
			t.Skip(complaint)
		}
	}
}

// openShell puts a shell on a guest's end of the link; see useShell.
func openShell(t *testing.T, server *guest) {
	t.Helper()
	server.run(t, `stty -F /dev/ttyS1 sane
		sh -c 'echo $$ >/tmp/shell; exec sh -i </dev/ttyS1 >/dev/ttyS1 2>&1' &`)
}

// count lets the shell at the other end count one further, and wants a number: a shell that were not the same would
// not know where it was.
func count(t *testing.T, user *guest, number int) {
	t.Helper()
	user.run(t, fmt.Sprintf(`echo 'n=$((n+1)); echo "count:" $n' >/dev/ttyS1
		timeout 30 grep -q -m 1 '^count: %d' </dev/ttyS1`, number))
}

// closeShell ends the shell, and leaves the link raw and empty.
func closeShell(t *testing.T, user, server *guest) {
	t.Helper()
	server.run(t, `kill -9 $(cat /tmp/shell); stty -F /dev/ttyS1 raw -echo; echo end of shell >/dev/ttyS1`)
	user.run(t, `timeout 30 grep -q -m 1 'end of shell' </dev/ttyS1`)
}

// crossDataDuring sends data both ways, of which something is done in the midst, and compares it by hashes made in the guests.
func crossDataDuring(t *testing.T, a, b *guest, size int, do func()) {
	t.Helper()
	sent := map[*guest]string{}
	exchanges := map[*guest]*running{}
	for _, g := range []*guest{a, b} {
		sent[g] = g.run(t, makeData(size)+"sha256sum </tmp/data")
	}
	for _, g := range []*guest{a, b} {
		exchanges[g] = inBackground(g, "cat /tmp/data >/dev/ttyS1 &\n"+receive(size)+"\nwait")
	}
	do()
	for _, exchange := range exchanges {
		select {
		case <-exchange.done:
			t.Error("the data had come before what should happen in the midst of it")
		default:
		}
	}
	if atA, atB := exchanges[a].wait(t), exchanges[b].wait(t); atA != sent[b] || atB != sent[a] {
		t.Fatalf("VM a sent %s, and %s came; VM b sent %s, and %s came", sent[a], atB, sent[b], atA)
	}
}
