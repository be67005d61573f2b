package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"serialhub/internal/testenv"
)

var answers = map[string]string{"uname": "GuestOS 1.0", "ls": "here\nthere"}

// A person who attaches talks to the guest, looks at the link, leaves, and has the terminal back as it was.
func TestAttachInATerminal(t *testing.T) {
	h := startHub(t, link("scrollback: 4KiB"))
	s := h.newScreen()
	before := s.modes()
	g := newGuest(t, h.dial("a"), answers)
	s.command("serialhub attach dbg --end b")
	s.showsText("serialhub: attached to end b of dbg; Ctrl-] q leaves, Ctrl-] ? shows more")
	if s.modes() == before {
		t.Error("the terminal is not raw")
	}
	s.types("uname", "Enter")
	s.showsText("uname\nGuestOS 1.0\n" + strings.TrimSpace(guestPrompt)) // its first prompt was said to nobody
	s.types("", "C-c", "C-z", "C-d", `C-\`)
	s.showsText(`^C^Z^D^\`)
	s.types("", "C-]", "C-]")
	s.showsText("^]")
	s.types("", "C-]", "s")
	s.showsText(fmt.Sprintf("serialhub: dbg is up\n  a: watch.test, pid %d\n  b: serialhub, pid ", os.Getpid()))
	s.showsText(" (here)")
	s.types("", "C-]", "?")
	s.showsText("serialhub: after Ctrl-]: q leaves")
	s.types("", "C-]", "b")
	s.showsText("serialhub: ")   // a socket has no breaks
	g.print("\x1b[?25l\x1b[31m") // no cursor, and red
	h.eventually("the cursor is hidden", func() error {
		if s.is("#{cursor_flag}") != "0" {
			return fmt.Errorf("it is shown")
		}
		return nil
	})
	s.types("", "C-]", "q")
	s.showsPrompt()
	if after := s.modes(); after != before {
		t.Errorf("the terminal was set\n%s\nand is\n%s", before, after)
	}
	if s.is("#{cursor_flag}") != "1" {
		t.Error("the cursor is still hidden")
	}
	s.types("echo it ended with $?", "Enter")
	s.showsText("\nit ended with 0\n")
	h.waitState("half")
}

// An end that is taken is refused with who is there, and can be taken over; who is there then learns why it is not any more.
func TestAttachToABusyEnd(t *testing.T) {
	h := startHub(t, link("scrollback: 4KiB"))
	s := h.newScreen()
	before := s.modes()
	a, other := h.dialBoth()
	newGuest(t, a, answers)
	hear(t, other, guestPrompt)
	s.command("serialhub attach dbg --end b; echo it ended with $?")
	text := s.showsText("\nit ended with 1\n")
	if want := fmt.Sprintf("serialhub: end b of link dbg has a peer: watch.test, pid %d; replace", os.Getpid()); !strings.Contains(text, want) || !strings.Contains(text, "--replace") {
		t.Errorf("the refusal is\n%s", text)
	}
	tellGuest := func() {
		t.Helper()
		say(t, other, "x")
		hear(t, other, "x")
	}
	tellGuest() // it has noticed nothing
	s.command("serialhub attach dbg --end b --replace; echo it now ended with $?")
	s.showsText("attached to end b of dbg")
	if n, err := other.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("who was there heard %d bytes, %v", n, err)
	}
	s.types("", "Enter")
	s.showsText("x: not found")
	s.types("ls", "Enter")
	s.showsText("here\nthere\n")

	next, err := h.client().Attach(context.Background(), "dbg", "b", true)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Leave()
	text = s.showsText("it now ended with 1\n")
	if !strings.Contains(text, "serialhub: no longer at end b of dbg: the hub has closed the connection: a newer peer has taken the end") {
		t.Errorf("who was replaced is told\n%s", text)
	}
	s.showsPrompt()
	if after := s.modes(); after != before {
		t.Errorf("the terminal was set\n%s\nand is\n%s", before, after)
	}
}

// Who is replaced while the guest does not read what was typed is told why all the same.
func TestAttachedPeerIsReplacedWhileNobodyReads(t *testing.T) {
	h := startHub(t, link())
	h.dial("a") // and never reads
	first, err := h.client().Attach(context.Background(), "dbg", "b", false)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Leave()
	typed := make(chan error, 1)
	go func() {
		for {
			if _, err := first.Write([]byte(garbage(16 << 10))); err != nil {
				typed <- err
				return
			}
		}
	}()
	h.waitStill()
	next, err := h.client().Attach(context.Background(), "dbg", "b", true)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Leave()
	_, err = first.Read(make([]byte, 1))
	if err == nil || !strings.Contains(err.Error(), "a newer peer has taken the end") {
		t.Errorf("who was replaced is told %v", err)
	}
	<-typed
}

// A client that is killed leaves its end within a second also if the guest does not read what it has typed.
func TestAttachedPeerIsKilledWhileNobodyReads(t *testing.T) {
	h := startHub(t, link())
	h.dial("a") // and never reads
	testenv.WriteFile(t, h.path("much"), garbage(4<<20))
	in, err := os.Open(h.path("much"))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	c := h.command("attach", "dbg", "--end", "b")
	c.Stdin = in
	c.start()
	h.waitState("up")
	h.waitStill()
	c.kill()
	h.waitLink("free at b", func(s status) bool { return s.Ends["b"].Peer == nil })
}

// waitStill waits until bytes have come from b, and no more come.
func (h *hub) waitStill() {
	h.t.Helper()
	last, same := int64(-1), 0
	h.eventually("nothing flows any more", func() error {
		var s status
		if err := h.get("/links/dbg", &s); err != nil {
			return err
		}
		now := s.Ends["b"].ReceivedBytes
		if same++; now != last || now == 0 {
			last, same = now, 0
		}
		if same < 20 {
			return fmt.Errorf("%d bytes have come from b", now)
		}
		return nil
	})
}
