package e2e

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"serialhub/internal/testenv"
	"serialhub/test/page"
)

// reader does what a tutorial tells him to: at the host, and in terminals of which each runs a VM. The test that made him owns him; whatever he has started
// is ended with it.
type reader struct {
	home      string // his folder
	terminals map[string]*terminal
}

// terminal is one that a VM's console is in.
type terminal struct {
	process *exec.Cmd
	input   io.WriteCloser
	output  *transcript
	exited  chan struct{}
	typed   int // where in the output it was when something was typed last
	seen    int // how much of what is after that, without colours, has been looked for
}

// place is where a block is to be typed, as the line before it says.
var place = regexp.MustCompile(`(At the host|In a terminal for the (\w+)|In the (\w+))[^.:]*:$`)

// prompts are what a VM's console asks with.
var prompts = map[string]*regexp.Regexp{
	"/ # ":   regexp.MustCompile(`/ # $`),
	"(gdb) ": regexp.MustCompile(`\(gdb\) $`),
}

func newReader(t *testing.T) *reader {
	t.Helper()
	r := &reader{home: testenv.Dir(t), terminals: map[string]*terminal{}}
	t.Cleanup(func() {
		for name, term := range r.terminals {
			if t.Failed() {
				text, _, _ := term.output.snapshot()
				t.Logf("the terminal of the %s at the end:\n%s", name, testenv.Tail(plainText(text)))
			}
			term.process.Process.Kill()
			<-term.exited
		}
	})
	return r
}

// follow does what a block says, and returns what the host has said.
func (r *reader) follow(t *testing.T, p *page.Page, block page.Block) (output string) {
	t.Helper()
	at := place.FindStringSubmatch(block.Before)
	where := fmt.Sprintf("%s:%d", filepath.Base(p.Path), block.Line)
	switch {
	case at == nil:
		t.Fatalf("%s: the line before it does not say where this block is to be typed: %q", where, block.Before)
	case at[2] != "":
		r.open(t, at[2], block.Text)
	case at[3] != "":
		term := r.terminals[at[3]]
		if term == nil {
			t.Fatalf("%s: there is no terminal of the %s", where, at[3])
		}
		for line := range strings.Lines(block.Text) {
			if err := term.follow(strings.TrimSuffix(line, "\n")); err != nil {
				text, _, _ := term.output.snapshot()
				t.Fatalf("%s: in the %s, at %q: %v; it says:\n%s", where, at[3], line, err, testenv.Tail(plainText(text[term.typed:])))
			}
		}
	default:
		output, err := r.host(t.Context(), block.Text)
		if err != nil {
			t.Fatalf("%s: %v:\n%s", where, err, output)
		}
		return output
	}
	return ""
}

// command is a shell of the reader's.
func (r *reader) command(ctx context.Context, script string) *exec.Cmd {
	shell := exec.CommandContext(ctx, "bash", "-ec", script)
	shell.Dir = r.home
	shell.Env = append(os.Environ(), "HOME="+r.home, "PATH="+filepath.Dir(hubBinary)+":"+os.Getenv("PATH"))
	return shell
}

// host runs commands at the host, to their end.
func (r *reader) host(ctx context.Context, script string) (output string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	said, err := r.command(ctx, script).CombinedOutput()
	return string(said), err
}

// open runs commands in a new terminal, in the place of one of that name that has ended.
func (r *reader) open(t *testing.T, name, script string) {
	t.Helper()
	if before := r.terminals[name]; before != nil {
		select {
		case <-before.exited:
		case <-time.After(patience):
			t.Fatalf("the %s is to be started again, and still runs", name)
		}
	}
	// The shell becomes the VM, so that this goes with the test, even with one that dies.
	script = strings.Replace(script, "\nqemu-system", "\nexec qemu-system", 1)
	term := &terminal{process: r.command(context.Background(), script), output: newTranscript(), exited: make(chan struct{})}
	term.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	input, err := term.process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := term.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	term.process.Stderr = term.process.Stdout
	term.input = input
	if err := term.process.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		term.output.copyFrom(output)
		term.process.Wait()
		close(term.exited)
	}()
	r.terminals[name] = term
}

// follow types a line if it begins with a prompt, once that is there; else it waits for the line.
func (term *terminal) follow(line string) error {
	for prompt, pattern := range prompts {
		command, is := strings.CutPrefix(line, prompt)
		if !is {
			continue
		}
		if _, err := term.wait(pattern); err != nil {
			return err
		}
		term.typed, term.seen = term.output.length(), 0
		_, err := io.WriteString(term.input, command+"\n")
		return err
	}
	words := strings.Fields(line)
	for i, word := range words {
		words[i] = strings.ReplaceAll(regexp.QuoteMeta(word), "…", ".*?")
	}
	end, err := term.wait(regexp.MustCompile(`(?s)` + strings.Join(words, `\s+`)))
	term.seen = end
	return err
}

// wait waits for something in what was said since the last line was typed, and returns where it ends.
func (term *terminal) wait(pattern *regexp.Regexp) (end int, err error) {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		text, ended, changed := term.output.snapshot()
		said := plainText(text[term.typed:])
		if at := pattern.FindStringIndex(said[min(term.seen, len(said)):]); at != nil {
			return term.seen + at[1], nil
		}
		if ended {
			return 0, fmt.Errorf("it has ended before %q came", pattern)
		}
		select {
		case <-changed:
		case <-timeout.C:
			return 0, fmt.Errorf("%q did not come within %v", pattern, patience)
		}
	}
}

// escapes are what colours text, asks a terminal something, and moves its cursor.
var escapes = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\r`)

func plainText(text []byte) string { return escapes.ReplaceAllString(string(text), "") }
