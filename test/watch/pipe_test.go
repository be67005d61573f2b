package watch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"serialhub/internal/client"
)

// What is typed by a pipe is answered into one, and attach leaves by itself.
func TestAttachInAPipe(t *testing.T) {
	h := startHub(t, link())
	newGuest(t, h.dial("a"), answers)
	h.waitState("half")
	out, errs, code := h.shell(`printf 'ls\r' | serialhub attach dbg --end b`)
	if want := "ls\r\nhere\r\nthere\r\n" + guestPrompt; code != 0 || out != want || errs != "" {
		t.Errorf("it ended with %d: %q, %s; want %q", code, out, errs, want)
	}
	h.waitState("half")
}

// A tap ends when nobody reads it any more, also if nothing more is said.
func TestTapIntoHead(t *testing.T) {
	h := startHub(t, link("scrollback: 4KiB"))
	a, b := h.dialBoth()
	tell(t, a, b, "one\ntwo\nthree")
	out, errs, code := h.shell(`serialhub tap dbg --format text --since-start | head -n 2; serialhub tap dbg -c ` + h.path("links.yaml") + ` --format raw --since-start | head -c 7`)
	if code != 0 || strings.Count(out, "\n") != 3 || !strings.Contains(out, " a> one\n") || !strings.HasSuffix(out, " a> two\none\ntwo") || errs != "" {
		t.Errorf("it ended with %d: %q, %s", code, out, errs)
	}
}

// A tap survives an upgrade of the hub, and who is attached learns of it.
func TestUpgrade(t *testing.T) {
	h := startHub(t, link("scrollback: 4KiB"))
	a := h.dial("a")
	attached, err := h.client().Attach(context.Background(), "dbg", "b", false)
	if err != nil {
		t.Fatal(err)
	}
	defer attached.Leave()
	h.waitState("up")
	say(t, a, "before")
	tap := h.tap("--format", "raw", "--since-start")
	tap.showsText("before")
	stuck := h.tap("--since-start")
	stuck.showsText("before")
	stuck.Process.Signal(unix.SIGSTOP)
	h.cmd.Process.Signal(unix.SIGUSR2)
	heard := make([]byte, 100)
	for err == nil {
		_, err = attached.Read(heard)
	}
	if lost := (*client.LostError)(nil); !errors.As(err, &lost) || lost.Reason != "the hub is being upgraded" {
		t.Errorf("who is attached is told %v", err)
	}
	h.eventually("the tap is back", func() error {
		if errs := tap.errs.String(); !strings.HasPrefix(errs, "serialhub: the hub is being upgraded; trying again for 30s\n") || !strings.Contains(errs, "\nserialhub: the hub is back") {
			return fmt.Errorf("it complains %q", errs)
		}
		return nil
	})
	say(t, a, "after")
	tap.shows("what is said after it", func(text string) bool { return text == "beforeafter" })
	if out := h.must("tap", "dbg", "--format", "raw", "--since-start", "--no-follow"); out != "beforeafter" {
		t.Errorf("the scrollback has %q", out)
	}
	next, err := h.client().Attach(context.Background(), "dbg", "b", false)
	if err != nil {
		t.Fatal(err)
	}
	next.Leave()
}

// At a terminal or a serial port there is a peer already.
func TestAttachToATerminal(t *testing.T) {
	h := startHub(t, "  - {name: dbg, a: DIR/a, b: {pty: DIR/tty}}\n")
	_, errs, code := h.run("attach", "dbg", "--end", "b", "--replace")
	if code != 1 || !strings.HasPrefix(errs, "serialhub: nobody can be attached: end b of link dbg: there is always one peer there") {
		t.Errorf("it ended with %d: %s", code, errs)
	}
	out, errs, code := h.shell("printf '' | serialhub attach dbg --end a")
	if code != 0 || out != "" || !strings.HasPrefix(errs, "serialhub: nobody is at end b of dbg yet; ") || strings.Count(errs, "\n") != 1 { // the terminal is not open
		t.Errorf("the other end ended with %d: %s%s", code, out, errs)
	}
}
