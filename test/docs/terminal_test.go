package docs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"serialhub/internal/testenv"
	"serialhub/test/container"
)

// terminal is a window of tmux with a shell in it, in which a reader types what a page says.
type terminal struct {
	t      *testing.T
	name   string
	status string // the file into which the shell writes how each command has ended
}

const (
	commandTime = container.Patience

	prompt = "reader$"
	// marker stands between a command and what it prints.
	marker = "@what it prints@"
	// shell's PROMPT_COMMAND comes before each prompt, PS0 before each command.
	shell = "PS1='" + prompt + " '\nPS0='" + marker + "\\n'\nPROMPT_COMMAND='echo $? >>%s'\nunset HISTFILE\n"
)

// openTerminal opens one in a folder. It is wide, so that nothing that a page shows is cut.
func openTerminal(t *testing.T, name, folder string) *terminal {
	t.Helper()
	term := &terminal{t, name, "/run/reader." + name}
	testenv.WriteFile(t, term.status+".rc", fmt.Sprintf(shell, term.status))
	term.tmux("new-session", "-d", "-s", name, "-x", "300", "-y", "100", "-c", folder, "bash --noprofile --rcfile "+term.status+".rc -i")
	term.waitPrompt(0, func() {})
	return term
}

func (term *terminal) tmux(arguments ...string) string {
	term.t.Helper()
	output, err := exec.Command("tmux", append([]string{"-u", "-f", "/dev/null", "-S", "/run/reader.tmux"}, arguments...)...).CombinedOutput()
	if err != nil {
		term.t.Fatalf("tmux %s: %v: %s", strings.Join(arguments, " "), err, output)
	}
	return string(output)
}

// statuses are how the commands have ended so far; the first is the shell's own.
func (term *terminal) statuses() []string {
	text, _ := os.ReadFile(term.status)
	return strings.Fields(string(text))
}

// shown is what the command has printed until now; all that the screen shows, if the command has it to itself.
func (term *terminal) shown() string {
	term.t.Helper()
	text := term.tmux("capture-pane", "-p", "-J", "-S", "-", "-t", term.name)
	if _, after, found := strings.Cut(text, marker); found {
		text = after
	}
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}

// enter types a command, of several lines as well, on an empty screen. It returns the number of those that had ended before.
func (term *terminal) enter(command string) (before int) {
	term.t.Helper()
	before = len(term.statuses())
	term.tmux("send-keys", "-R", "-t", term.name)
	term.tmux("clear-history", "-t", term.name)
	file := term.status + ".command"
	testenv.WriteFile(term.t, file, command)
	term.tmux("load-buffer", file)
	term.tmux("paste-buffer", "-p", "-r", "-t", term.name) // bracketed, so that lines are not taken for commands
	term.tmux("send-keys", "-t", term.name, "Enter")
	return before
}

// waitPrompt waits until the command that was entered after so many others has ended, and returns how.
func (term *terminal) waitPrompt(before int, again func()) (status int) {
	term.t.Helper()
	testenv.Eventually(term.t, commandTime, "waiting for the prompt", func() error {
		again()
		statuses := term.statuses()
		if len(statuses) <= before {
			return term.look("the command has not ended")
		}
		if !strings.HasSuffix(term.shown(), prompt) {
			return term.look("no prompt is there")
		}
		var err error
		status, err = strconv.Atoi(statuses[len(statuses)-1])
		return err
	})
	return status
}

// look makes an error of what the screen shows; each look is a process, so there are not too many.
func (term *terminal) look(complaint string) error {
	<-time.After(20 * time.Millisecond)
	return fmt.Errorf("%s; the screen shows\n%s", complaint, lastLines(term.shown()))
}

// waitShown waits until the command that has begun after so many others has printed what is wanted. One that has ended will not.
func (term *terminal) waitShown(before int, again func(), wanted func(shown string) error) {
	term.t.Helper()
	testenv.Eventually(term.t, commandTime, "waiting for what it shows", func() error {
		again()
		err := wanted(term.shown())
		if err == nil {
			return nil
		}
		ended := len(term.statuses()) > before
		if ended {
			err = wanted(term.shown()) // which may have come in between
		}
		if err != nil && ended {
			return testenv.Hopeless(term.look("it has ended, and " + err.Error()))
		}
		if err != nil {
			return term.look(err.Error())
		}
		return nil
	})
}

// leave types keys, and returns how the command ends then.
func (term *terminal) leave(before int, keys ...string) (status int) {
	term.t.Helper()
	term.tmux(append([]string{"send-keys", "-t", term.name}, keys...)...)
	return term.waitPrompt(before, func() {})
}

// output is what the command that has ended has printed.
func (term *terminal) output() string {
	term.t.Helper()
	return strings.TrimRight(strings.TrimSuffix(term.shown(), prompt), "\n ")
}

// showsText wants a text that an expression describes.
func showsText(expression string) func(string) error {
	wanted := regexp.MustCompile(expression)
	return func(shown string) error {
		if !wanted.MatchString(shown) {
			return errors.New("it does not show " + expression)
		}
		return nil
	}
}
