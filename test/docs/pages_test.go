package docs

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"serialhub/test/container"
	"serialhub/test/page"
)

// TestPages types every command of every page, as a reader would who has what the page takes for granted: each page in a container of its own.
func TestPages(t *testing.T) {
	pages := treeOfTest(t).pages(t)
	if container.Shared == "" {
		if os.Getenv("SERIALHUB_DOCS") != "1" {
			t.Skip("make docs types the commands of the pages, in containers")
		}
		needTools(t)
	}
	var machine container.Machine
	if container.Shared == "" {
		machine = newMachine(t)
	}
	for name, p := range pages {
		for _, block := range p.Blocks {
			switch {
			case container.Shared != "" || !isCommands(block):
			case worlds[name].elsewhere != "":
				t.Logf("%s:%d: run by %s", name, block.Line, worlds[name].elsewhere)
			case notRun(block):
				t.Logf("%s:%d: not run here, as the page says: %s", name, block.Line, block.Heading)
			}
		}
	}
	t.Run("all", func(t *testing.T) { // which waits for all, before the hub is removed
		for name, p := range pages {
			if !slices.ContainsFunc(p.Blocks, isTried) || worlds[name].elsewhere != "" {
				continue
			}
			t.Run(strings.ReplaceAll(name, "/", "_"), func(t *testing.T) {
				t.Parallel()
				if machine.Inside(t) {
					read(t, name, p)
				}
			})
		}
	})
}

// TestWorlds wants a world for each page with commands, and each of its steps to be for one of them; and bash to understand all commands, also those
// that are not run.
func TestWorlds(t *testing.T) {
	pages := readTree(t).pages(t)
	for name, p := range pages {
		_, known := worlds[name]
		var all []page.Command // that are run
		for _, block := range p.Blocks {
			if isTried(block) && !known {
				t.Errorf("%s:%d: nobody knows what these commands need: an entry of worlds in test/docs says it, or the paragraph before them says “Not run”",
					name, block.Line)
			}
			if !isCommands(block) {
				if strings.HasPrefix(block.Text, "$ ") {
					t.Errorf("%s:%d: this is a block of commands: its language is console", name, block.Line)
				}
				continue
			}
			commands := block.Commands()
			if !notRun(block) {
				all = append(all, commands...)
			}
			if len(commands) == 0 {
				t.Errorf("%s:%d: a block of %s without a command", name, block.Line, block.Language)
			}
			for _, command := range commands {
				bash := exec.Command("bash", "-n")
				bash.Stdin = strings.NewReader(command.Text + "\n")
				if output, err := bash.CombinedOutput(); err != nil || len(output) > 0 {
					t.Errorf("%s:%d: bash does not understand this: %s", name, command.Line, output)
				}
			}
		}
		for _, step := range worlds[name].steps {
			if !slices.ContainsFunc(all, func(c page.Command) bool { return strings.HasPrefix(c.Text, step.command) }) {
				t.Errorf("%s has no command %s any more, for which test/docs has a step", name, step.command)
			}
		}
	}
	for name := range worlds {
		if pages[name] == nil {
			t.Errorf("test/docs has a world for %s, which is not there", name)
		}
	}
}

// isCommands tells whether a reader types what is in a block.
func isCommands(block page.Block) bool { return block.Language == "sh" || block.Language == "console" }

// notRun tells whether the page says of a block that it is not run.
func notRun(block page.Block) bool { return strings.HasPrefix(block.Before, "Not run") }

// isTried tells whether a block is for a container: its commands, or what it adds to systemd's units.
func isTried(block page.Block) bool {
	return (isCommands(block) || block.Language == "ini") && !notRun(block)
}

// world is what the reader of a page has, and does, beside what the page says.
type world struct {
	elsewhere string // who runs the page's commands instead of TestPages
	prepare   func(*reader)
	steps     []step
}

// step is what one has to know of a command: of one without a step, that it ends by itself with 0, and prints what the page shows.
type step struct {
	command string                   // how it begins in the page; the longest that fits is taken
	before  func(*reader)            // what happens before it is typed
	again   func(*reader)            // what happens beside it, again and again, until it has shown what it should, or ends
	shows   func(shown string) error // what it shows before it is left; nil if it ends by itself
	leave   []string                 // the keys by which it is left; nil if it goes on, and what follows is typed into another terminal
	after   func(*reader)            // what happens when it is over, or goes on
	status  int                      // how it ends
}

// read types the commands of a page, in the container.
func read(t *testing.T, name string, p *page.Page) {
	w, known := worlds[name]
	if !known {
		t.Fatalf("test/docs does not know what a reader of %s needs", name)
	}
	r := newReader(t)
	if w.prepare != nil {
		w.prepare(r)
	}
	r.open()
	for _, block := range p.Blocks {
		switch {
		case !isTried(block):
		case block.Language == "ini":
			t.Logf("%s:%d: %s", name, block.Line, block.Text)
			if err := r.verify(block.Text); err != nil {
				t.Fatalf("%s:%d: %v", name, block.Line, err)
			}
		default:
			for _, command := range block.Commands() {
				t.Logf("%s:%d: $ %s", name, command.Line, command.Text)
				if err := r.run(w.find(command.Text), command); err != nil {
					t.Fatalf("%s:%d: %s: %v", name, command.Line, command.Text, err)
				}
			}
		}
	}
}

// find is the step for a command.
func (w world) find(command string) (found step) {
	for _, step := range w.steps {
		if strings.HasPrefix(command, step.command) && len(step.command) > len(found.command) {
			found = step
		}
	}
	return found
}

// run types a command, and sees that it does what the page says.
func (r *reader) run(s step, command page.Command) error {
	r.t.Helper()
	if s.before != nil {
		s.before(r)
	}
	term := r.terminal
	again := func() {
		if s.again != nil {
			s.again(r)
		}
	}
	ended := term.enter(command.Text)
	if s.shows != nil {
		wanted := s.shows
		if len(command.Output) > 0 {
			wanted = func(shown string) error {
				if err := inOrder(command.Output)(shown); err != nil {
					return err
				}
				return s.shows(shown)
			}
		}
		term.waitShown(ended, again, wanted)
		r.t.Logf("it shows\n%s", lastLines(term.shown()))
		if s.leave == nil {
			r.left[s.command] = func(keys ...string) { term.leave(ended, keys...) }
			r.open()
			s.over(r)
			return nil
		}
		status := term.leave(ended, s.leave...)
		if status != s.status {
			return fmt.Errorf("it ends with %d, not %d; the screen shows\n%s", status, s.status, term.shown())
		}
		s.over(r)
		return nil
	}
	status := term.waitPrompt(ended, again)
	if status != s.status {
		return fmt.Errorf("it ends with %d, not %d:\n%s", status, s.status, term.output())
	}
	if len(command.Output) > 0 {
		if err := same(command.Output, term.output()); err != nil {
			return err
		}
	}
	s.over(r)
	return nil
}

// lastLines are enough for the log.
func lastLines(text string) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-6):], "\n")
}

// over is what happens after a command.
func (s step) over(r *reader) {
	if s.after != nil {
		s.after(r)
	}
}
