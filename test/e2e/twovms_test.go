package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// TestTwoVMs joins two VMs by a link and keeps it in use while each is killed
// and started anew, time after time, and the other one runs on undisturbed.
func TestTwoVMs(t *testing.T) {
	needTools(t)
	const rounds = 5
	h := startHub(t, "pair")
	guests := map[string]*guest{}
	for _, end := range []string{"a", "b"} {
		guests[end] = startGuest(t, end, h.socket("pair", end), quietLink)
	}
	t.Logf("booted in %v and %v", guests["a"].bootTime, guests["b"].bootTime)

	status := h.waitState(t, "pair", "up")
	for end, g := range guests {
		mustBeAt(t, status, end, g)
	}

	useShell(t, guests["a"], guests["b"])
	crossData(t, guests["a"], guests["b"], 16<<10)
	crossData(t, guests["b"], guests["a"], 16<<10)
	crossDataBothWays(t, guests["a"], guests["b"], 16<<10)

	for round := range rounds {
		for _, end := range []string{"a", "b"} {
			other := map[string]string{"a": "b", "b": "a"}[end]
			killAndReplace(t, h, guests, end, other, fmt.Sprintf("%s%d", end, round+2))
			crossDataBothWays(t, guests["a"], guests["b"], 4<<10)
		}
	}

	// A hub that ends takes the link away, and nothing else.
	h.stop(t)
	for _, g := range guests {
		g.run(t, "true")
	}
}

// killAndReplace kills the VM at an end and starts another in its place. The VM at
// the other end must not notice more than silence: it keeps its one connection, and
// what it sends in the meantime is lost rather than kept for the newcomer.
func killAndReplace(t *testing.T, h *hub, guests map[string]*guest, end, other, name string) {
	t.Helper()
	survivor := guests[other]
	before := h.status(t, "pair").Ends[other]

	guests[end].kill(t)
	h.waitState(t, "pair", "half")
	const lost = 4 << 10
	survivor.run(t, fmt.Sprintf("head -c %d /dev/zero >/dev/ttyS1", lost))
	h.waitStatus(t, "pair", "what nobody was there for is discarded", func(status linkStatus) bool {
		return status.Ends[other].DiscardedBytes >= before.DiscardedBytes+lost
	})

	guests[end] = startGuest(t, name, h.socket("pair", end), quietLink)
	status := h.waitState(t, "pair", "up")
	mustBeAt(t, status, end, guests[end])
	survivor.mustRun(t)
	after := status.Ends[other]
	if after.Peer.PID != survivor.pid() || after.Connections != before.Connections {
		t.Errorf("while end %s was replaced, end %s went from %+v to %+v", end, other, before, after)
	}
}

// mustBeAt fails the test unless the hub names the VM's process as the one at an end.
func mustBeAt(t *testing.T, status linkStatus, end string, g *guest) {
	t.Helper()
	at := status.Ends[end].Peer
	if at.PID != g.pid() || !strings.HasPrefix(at.Command, "qemu-system") {
		t.Errorf("the hub takes %+v for the one at end %s; it is VM %s, process %d", at, end, g.name, g.pid())
	}
}

// useShell lets someone in VM user work at a shell of VM server over the link, as
// at a serial console, and leaves the link as it was: raw and empty. The shell is no
// session leader: the end of one that is hangs up its terminal, and with it the
// link that init keeps open.
func useShell(t *testing.T, user, server *guest) {
	t.Helper()
	server.run(t, `stty -F /dev/ttyS1 sane
		sh -c 'echo $$ >/tmp/shell; exec sh -i </dev/ttyS1 >/dev/ttyS1 2>&1' &`)
	// The shell's echo of this has no 42 in it.
	answer := user.run(t, `echo 'echo answer: $((6*7)) from $(cat /proc/uptime | wc -w)' >/dev/ttyS1
		timeout 60 grep -m 1 -o 'answer: 42 from 2' </dev/ttyS1`)
	t.Logf("the shell at the other end says %q", answer)

	server.run(t, `kill -9 $(cat /tmp/shell); stty -F /dev/ttyS1 raw -echo; echo end of shell >/dev/ttyS1`)
	user.run(t, `timeout 60 grep -q -m 1 'end of shell' </dev/ttyS1`)
}

// crossData sends random data from one guest to another and compares what went
// with what came, by hashes made in the guests.
func crossData(t *testing.T, from, to *guest, size int) {
	t.Helper()
	received := inBackground(to, receive(size))
	sent := from.run(t, makeData(size)+send)
	if sum := received.wait(t); sum != sent {
		t.Fatalf("%d bytes from VM %s to VM %s: sent %s, received %s", size, from.name, to.name, sent, sum)
	}
}

// crossDataBothWays is crossData in both directions at the same time.
func crossDataBothWays(t *testing.T, a, b *guest, size int) {
	t.Helper()
	sent := map[*guest]string{}
	for _, g := range []*guest{a, b} {
		sent[g] = g.run(t, makeData(size)+"sha256sum </tmp/data")
	}
	exchange := "cat /tmp/data >/dev/ttyS1 &\n" + receive(size) + "\nwait"
	other := inBackground(b, exchange)
	atA, atB := a.run(t, exchange), other.wait(t)
	if atA != sent[b] || atB != sent[a] {
		t.Fatalf("%d bytes both ways: VM %s sent %s, and %s came; VM %s sent %s, and %s came",
			size, a.name, sent[a], atB, b.name, sent[b], atA)
	}
}

// Pieces of scripts: make random data, send it and print its hash, or print the
// hash of what comes. A receiver gives up before the test's own patience ends, so
// that the guest can say how much came.
const send = "cat /tmp/data >/dev/ttyS1; sha256sum </tmp/data"

func makeData(size int) string {
	return fmt.Sprintf("head -c %d /dev/urandom >/tmp/data\n", size)
}

func receive(size int) string {
	return fmt.Sprintf("timeout 60 head -c %d </dev/ttyS1 >/tmp/received ||"+
		" { echo only $(wc -c </tmp/received) bytes came; exit 1; }\nsha256sum </tmp/received", size)
}
