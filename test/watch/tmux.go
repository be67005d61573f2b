package watch

import (
	"fmt"
	"os/exec"
	"strings"
	"time"

	"serialhub/internal/testenv"
)

// screen is a terminal of 120 by 40 with a shell in it, which tmux plays.
type screen struct {
	h      *hub
	socket string
}

// prompt is that of the shell.
const prompt = "you@here> "

// newScreen opens a terminal, which is closed with the test. Its shell finds serialhub by the path, and the hub by the environment.
func (h *hub) newScreen() *screen {
	h.t.Helper()
	testenv.Program(h.t, "tmux")
	s := &screen{h, h.path("tmux")}
	testenv.WriteFile(h.t, h.path("profile"), "PS1='"+prompt+"'\nstty noflsh\n") // or Ctrl-C would throw away what is on the way to the screen
	s.tmux("-f", "/dev/null", "-u", "new-session", "-d", "-x", "120", "-y", "40", "ENV="+h.path("profile")+" exec sh -i")
	h.t.Cleanup(func() { s.run("kill-server") })
	s.tmux("set-option", "-g", "allow-rename", "on")
	s.shows("the prompt", func(text string) bool { return text == strings.TrimSpace(prompt) })
	return s
}

func (s *screen) run(arguments ...string) (string, error) {
	command := exec.Command("tmux", append([]string{"-S", s.socket}, arguments...)...)
	command.Env = s.h.environment()
	out, err := command.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("tmux %s: %w: %s", strings.Join(arguments, " "), err, out)
	}
	return string(out), err
}

func (s *screen) tmux(arguments ...string) string {
	s.h.t.Helper()
	out, err := s.run(arguments...)
	if err != nil {
		s.h.t.Fatal(err)
	}
	return out
}

// text is what the screen shows, without the space at the end.
func (s *screen) text() string {
	s.h.t.Helper()
	return strings.TrimSpace(s.tmux("capture-pane", "-p", "-J"))
}

// shows waits until the screen is as it should be.
func (s *screen) shows(what string, holds func(text string) bool) string {
	s.h.t.Helper()
	text := ""
	s.h.eventually("the screen shows "+what, func() error {
		if text = s.text(); holds(text) {
			return nil
		}
		<-time.After(20 * time.Millisecond) // each look is a process
		return fmt.Errorf("it shows\n%s", text)
	})
	return text
}

func (s *screen) showsText(text string) string {
	s.h.t.Helper()
	return s.shows(text, func(all string) bool { return strings.Contains(all, text) })
}

// showsPrompt waits until the shell waits for a command.
func (s *screen) showsPrompt() string {
	s.h.t.Helper()
	return s.shows("the prompt", func(all string) bool { return strings.HasSuffix(all, strings.TrimSpace(prompt)) })
}

// types types a text, and then keys such as Enter and C-].
func (s *screen) types(text string, keys ...string) {
	s.h.t.Helper()
	if text != "" {
		s.tmux("send-keys", "-l", text)
	}
	if len(keys) > 0 {
		s.tmux(append([]string{"send-keys"}, keys...)...)
	}
}

// command has the shell run a command, on an empty screen.
func (s *screen) command(text string) {
	s.h.t.Helper()
	s.types("clear; "+text, "Enter")
}

// is what tmux knows of the terminal, such as #{pane_title}.
func (s *screen) is(format string) string {
	s.h.t.Helper()
	return strings.TrimSpace(s.tmux("display-message", "-p", format))
}

// modes is how the terminal is set, as stty tells.
func (s *screen) modes() string {
	s.h.t.Helper()
	out, err := exec.Command("stty", "-a", "-F", s.is("#{pane_tty}")).CombinedOutput()
	if err != nil {
		s.h.t.Fatalf("stty: %v: %s", err, out)
	}
	return string(out)
}
