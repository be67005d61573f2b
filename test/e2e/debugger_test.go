package e2e

import (
	"context"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// What GRUB says on the control line around its gdb stub (guest/grub.cfg).
var (
	stubStarts  = regexp.MustCompile(`Now connect the remote debugger`)
	stubReturns = regexp.MustCompile(`stub has returned[\s\S]*grub rescue>`)
)

// TestRealDebugger debugs a VM over a link: GRUB's gdb stub at end a, gdb at end b.
func TestRealDebugger(t *testing.T) {
	needTools(t)
	t.Run("connected once", func(t *testing.T) {
		h, v := startDebuggee(t, connectOnce)
		debug(t, h, "disconnect")
		debug(t, h, "disconnect")

		before := h.status(t, "dbg").Ends["a"]
		h.reset(t, "dbg", "b")
		debug(t, h, "disconnect")
		leaveAttached(t, h)
		h.reset(t, "dbg", "b")
		debug(t, h, "disconnect")
		v.mustRun(t)
		if after := h.status(t, "dbg").Ends["a"]; after.Peer.PID != v.pid() || after.Connections != before.Connections {
			t.Errorf("a reset of end b changed end a from %+v to %+v", before, after)
		}

		// A person leaves gdb by quit: the stub does not know how to detach, so gdb
		// kills what it debugs, on which the stub lets GRUB go on. From GRUB's own
		// prompt its command gdbstub_break goes back into the stub.
		from := v.output.length()
		debug(t, h, "quit")
		if _, err := v.waitOutput(stubReturns, from); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(v.control, "gdbstub_break\r"); err != nil {
			t.Fatal(err)
		}
		debug(t, h, "disconnect")
	})
	t.Run("connected again after a reset", func(t *testing.T) {
		h, v := startDebuggee(t, connectAgain)
		debug(t, h, "disconnect")

		before := h.status(t, "dbg").Ends["a"]
		h.reset(t, "dbg", "")
		h.waitStatus(t, "dbg", "QEMU has connected again", func(status linkStatus) bool {
			after := status.Ends["a"]
			return after.Peer.PID == v.pid() && after.Connections > before.Connections
		})
		v.mustRun(t)
		debug(t, h, "disconnect")
	})
}

// startDebuggee starts a hub with a link "dbg" and a VM at its end a that waits
// in GRUB's gdb stub.
func startDebuggee(t *testing.T, link func(socket string) []string) (*hub, *vm) {
	t.Helper()
	h := startHub(t, "dbg")
	v := startVM(t, "grub", link(h.socket("dbg", "a")),
		"-drive", "format=raw,snapshot=on,file="+artefact("grub.img"))
	if _, err := v.waitOutput(stubStarts, 0); err != nil {
		t.Fatal(err)
	}
	return h, v
}

// debug attaches gdb at end b, reads a register and memory, and leaves. To leave
// by disconnect is to close the connection without a word: the stub waits for the
// next debugger in the same place. Both detach and gdb's end without disconnect
// say "kill" in the end, and GRUB goes on.
func debug(t *testing.T, h *hub, leave string) {
	t.Helper()
	output := gdb(t, h, `printf "eip=%#x\n", $eip`, "info registers eip", "x/4xw 0x7c00", leave)
	// The BIOS has put GRUB's boot sector at 0x7c00; it starts with the jump eb 63.
	for _, pattern := range []string{`(?m)^eip=0x[0-9a-f]+$`, `(?m)^eip +0x[0-9a-f]+`, `0x7c00:\s+0x....63eb\s`} {
		if !regexp.MustCompile(pattern).MatchString(output) {
			t.Fatalf("gdb did not say %q:\n%s", pattern, output)
		}
	}
}

// gdb runs a debugger at end b of the link "dbg" and returns what it said.
func gdb(t *testing.T, h *hub, commands ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	output, err := gdbCommand(ctx, h, commands...).CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("gdb with %q was not done within %v:\n%s", commands, patience, output)
	}
	if err != nil {
		t.Fatalf("gdb with %q: %v\n%s", commands, err, output)
	}
	return string(output)
}

// gdbCommand is a gdb that attaches at end b and then does what it is told.
func gdbCommand(ctx context.Context, h *hub, commands ...string) *exec.Cmd {
	args := []string{"-nx", "-batch", "-ex", "set architecture i386", "-ex", "target remote " + h.socket("dbg", "b")}
	for _, command := range commands {
		args = append(args, "-ex", command)
	}
	return exec.CommandContext(ctx, "gdb", args...)
}

// leaveAttached attaches a gdb that stays, as a forgotten one does, until the hub
// or the test's end takes its connection away.
func leaveAttached(t *testing.T, h *hub) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	gdb := gdbCommand(ctx, h, "echo attached\\n", "shell cat")
	stdin, err := gdb.StdinPipe() // never written to: "cat" holds gdb until it is closed
	if err != nil {
		t.Fatal(err)
	}
	output, err := gdb.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	said := newTranscript()
	if err := gdb.Start(); err != nil {
		t.Fatal(err)
	}
	go said.copyFrom(output)
	t.Cleanup(func() {
		stdin.Close()
		cancel()
		gdb.Wait()
	})
	if _, err := said.waitFor(regexp.MustCompile("attached"), 0, patience); err != nil {
		text, _, _ := said.snapshot()
		t.Fatalf("gdb: %v\n%s", err, strings.TrimSpace(string(text)))
	}
}
