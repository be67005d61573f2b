package watch

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"serialhub/internal/testenv"
)

// Send says what it is told to who is there, if nobody else has the word.
func TestSend(t *testing.T) {
	h := startHub(t, link("scrollback: 1MiB"))
	refused := func(want string, arguments ...string) {
		t.Helper()
		out, errs, code := h.run(append([]string{"send", "dbg"}, arguments...)...)
		if code == 0 || out != "" || !strings.HasPrefix(errs, "serialhub: ") || !strings.Contains(errs, want) {
			t.Errorf("send %v ended with %d: %s%s; want %q", arguments, code, out, errs, want)
		}
	}
	send := func(arguments ...string) {
		t.Helper()
		if out := h.must(append([]string{"send", "dbg"}, arguments...)...); out != "" {
			t.Errorf("send says %q", out)
		}
	}
	refused("nobody is connected", "--to", "a", "x")
	a := h.dial("a")
	h.waitState("half")
	send("--to", "a", `root\r\n\t\0\e[1m\\ \x00\xff é`)
	hear(t, a, "root\r\n\t\x00\x1b[1m\\ \x00\xff é")
	refused("nobody is connected", "--to", "b", "x")
	refused("byte 3", "--to", "a", `ab\q`)
	refused("nothing to send", "--to", "a", "")
	refused("c", "--to", "c", "x")

	big := garbage(64 << 10)
	testenv.WriteFile(t, h.path("big"), big)
	c := h.command("send", "dbg", "--to", "a", "-")
	in, err := os.Open(h.path("big"))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	c.Stdin = in
	c.start()
	hear(t, a, big)
	if code := c.code(); code != 0 {
		t.Errorf("send of 64 KiB ended with %d: %s", code, c.errs.String())
	}

	b := h.dial("b")
	h.waitState("up")
	refused(fmt.Sprintf("end b of link dbg has a peer: watch.test, pid %d", os.Getpid()), "--to", "a", "x")
	send("--to", "a", "--inject", "injected")
	hear(t, a, "injected")
	tell(t, b, a, "after it")
	tell(t, a, b, "and back")

	said, missed, err := parts(h.must("tap", "dbg", "--format", "json", "--since-start", "--no-follow"))
	if want := "root\r\n\t\x00\x1b[1m\\ \x00\xff é" + big + "injected" + "after it"; err != nil || missed > 0 || said["b"] != want || said["a"] != "and back" {
		t.Errorf("a watcher sees %d bytes of b and %q of a, %v; %d were said", len(said["b"]), said["a"], err, len(want))
	}
}

// Send to a peer that does not read fails after a while, and says so.
func TestSendToWhoDoesNotRead(t *testing.T) {
	t.Parallel()
	h := startHub(t, link())
	h.dial("a") // and never reads
	h.waitState("half")
	testenv.WriteFile(t, h.path("big"), garbage(64<<10))
	for range 100 {
		out, errs, code := h.shell("serialhub send dbg --to a - < " + h.path("big"))
		if code == 0 {
			continue
		}
		if code != 1 || out != "" || !strings.Contains(errs, "the peer does not read") {
			t.Errorf("send ended with %d: %s%s", code, out, errs)
		}
		return
	}
	t.Error("everything was said to a peer that does not read")
}

// script is how a machine that boots is logged into from a shell.
const script = `set -e
serialhub wait dbg --end a --text 'login: ' --since-start --timeout 60s
serialhub send dbg --to a 'root\r'
serialhub wait dbg --end a --text 'Password: ' --since-start
serialhub send dbg --to a 'se\x63ret\r'
serialhub wait dbg --end a --regex '^# $' --since-start
serialhub send dbg --to a 'uname\r'
serialhub wait dbg --end a --regex '^GuestOS [0-9.]+\r?$' --since-start
serialhub tap dbg --end a --format raw --since-start --no-follow
`

// A shell script logs in at a machine that boots slowly and asks what it has to.
func TestExpectScript(t *testing.T) {
	h := startHub(t, link("scrollback: 16KiB"))
	shell := h.newShell(script)
	shell.start()
	a := h.dial("a")
	for line := range strings.Lines("Booting\r\n" + strings.Repeat("[ 0.1] probing\r\n", 50)) {
		say(t, a, line)
	}
	for _, step := range []struct{ asks, hears string }{
		{"\r\nguest login: ", "root\r"},
		{"root\r\nPassword: ", "secret\r"},
		{"\r\nWelcome\r\n# ", "uname\r"},
	} {
		cut := len(step.asks) - 3
		say(t, a, step.asks[:cut])
		say(t, a, step.asks[cut:])
		hear(t, a, step.hears)
	}
	say(t, a, "uname\r\nGuestOS 1.0\r\n# ")
	if code := shell.code(); code != 0 || shell.errs.String() != "" || !strings.HasSuffix(shell.out.String(), "GuestOS 1.0\r\n# ") {
		t.Errorf("the script ended with %d: %s%s", code, shell.out.String(), shell.errs.String())
	}
}

// newShell makes a shell that runs a script with the hub's clients.
func (h *hub) newShell(script string) *command {
	c := h.command()
	c.Cmd = exec.Command("sh", "-c", script)
	c.Env = h.environment()
	c.Stdout, c.Stderr = &c.out, &c.errs
	c.SysProcAttr = &unix.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	return c
}

// shell runs a script to its end.
func (h *hub) shell(script string) (stdout, stderr string, code int) {
	h.t.Helper()
	c := h.newShell(script).start()
	code = c.code()
	return c.out.String(), c.errs.String(), code
}
