package watch

import (
	"strings"
	"sync"
	"testing"
)

// However a person is separated from a guest that speaks without end, the terminal is as it was before.
func TestLeaveAFlood(t *testing.T) {
	for _, test := range []struct {
		name, command string
		leave         func(*hub, *screen)
		code          string
	}{
		{"attach by its key", "attach dbg --end b", func(_ *hub, s *screen) { s.types("", "C-]", "q") }, "0"},
		{"attach by a reset", "attach dbg --end b", func(h *hub, _ *screen) { h.get("/links/dbg/reset?end=b", nil) }, "1"},
		{"attach by the death of the hub", "attach dbg --end b", func(h *hub, _ *screen) { h.kill() }, "1"},
		{"tap in hex", "tap dbg", func(_ *hub, s *screen) { s.types("", "C-c") }, "0"},
		{"tap in text", "tap dbg --format text", func(_ *hub, s *screen) { s.types("", "C-c") }, "0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := startHub(t, link())
			s := h.newScreen()
			before := s.modes()
			a := h.dial("a")
			var machine sync.WaitGroup
			machine.Go(func() {
				for line := []byte(strings.Repeat("AAAAAAAAAAAAAA\r\n", 100)); ; {
					if _, err := a.Write(line); err != nil {
						return
					}
				}
			})
			defer machine.Wait()
			defer a.Close()
			s.command("serialhub " + test.command + "; echo it ended with $?")
			s.showsText("AAAAAAAAAAAAAA")
			test.leave(h, s)
			s.showsText("it ended with " + test.code + "\n")
			s.showsPrompt()
			if after := s.modes(); after != before {
				t.Errorf("the terminal was set\n%s\nand is\n%s", before, after)
			}
			s.types("echo and it $((1+1)) works", "Enter")
			s.showsText("\nand it 2 works\n")
		})
	}
}

// Who closes the terminal's window is not the peer any more.
func TestTerminalIsClosed(t *testing.T) {
	h := startHub(t, link())
	newGuest(t, h.dial("a"), nil)
	s := h.newScreen()
	s.command("serialhub attach dbg --end b")
	s.showsText("attached to end b of dbg")
	h.waitState("up")
	s.tmux("kill-server")
	h.waitState("half")
}
