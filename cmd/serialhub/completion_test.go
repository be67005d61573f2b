package main_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"serialhub/internal/testenv"
)

// completes asks as the scripts of the shells do, and returns the words, without what describes them, and the directive.
func completes(t *testing.T, environment string, words ...string) (names []string, directive string) {
	t.Helper()
	code, out, errs := calls(t, "", []string{environment}, append([]string{"__complete"}, words...)...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != 0 || !strings.HasPrefix(errs, "Completion ended with directive: ") || strings.Count(errs, "\n") != 1 {
		t.Errorf("%q: %d, %q", words, code, errs)
	}
	for _, line := range lines[:len(lines)-1] {
		name, _, _ := strings.Cut(line, "\t")
		names = append(names, name)
	}
	return names, lines[len(lines)-1]
}

const (
	noFiles   = ":4"
	files     = ":0"
	someFiles = ":8" // those that end as the words say
)

func TestCompletion(t *testing.T) {
	p := startLinks(t)
	const links = "dbg console1 console2 broken"
	for _, row := range []struct{ line, want, directive string }{
		{"status _", links, noFiles},
		{"status c_", links, noFiles}, // the shell's script takes those that fit
		{"status dbg _", "console1 console2 broken", noFiles},
		{"doctor _", links, noFiles},
		{"doctor dbg _", "console1 console2 broken", noFiles},
		{"reset _", links, noFiles},
		{"reset dbg _", "", noFiles},
		{"stop dbg console2 _", "console1 broken", noFiles},
		{"start _", links, noFiles},
		{"tap _", links, noFiles},
		{"attach _", links, noFiles},
		{"send _", links, noFiles},
		{"send --to a _", links, noFiles},
		{"send dbg _", "", noFiles},
		{"wait _", links, noFiles},
		{"reload _", "", noFiles},
		{"reset dbg --end _", "a b", noFiles},
		{"tap dbg --end _", "a b", noFiles},
		{"attach dbg --end _", "a b", noFiles},
		{"send dbg --to _", "a b", noFiles},
		{"wait dbg --for _", "starting waiting half up retrying failed stopped", noFiles},
		{"tap dbg --format _", "hex text raw json pcapng", noFiles},
		{"tap dbg -w _", "", files},
		{"status -o _", "table json", noFiles},
		{"events _", links, noFiles},
		{"events -o _", "text json", noFiles},
		{"reset dbg --output _", "text json", noFiles},
		{"snippet _", links, noFiles},
		{"snippet dbg _", "", noFiles},
		{"snippet -c " + filepath.Join(p.dir, "links.yaml") + " _", links, noFiles},
		{"snippet dbg --end _", "a b", noFiles},
		{"snippet dbg --for _", "xen qemu libvirt virtualbox cloud-hypervisor", noFiles},
		{"snippet dbg --port _", "1 2 3 4", noFiles},
		{"snippet dbg --vm _", "", noFiles},
		{"check -c _", "yaml yml", someFiles},
		{"-c _", "yaml yml", someFiles},
		{"status -c _", "yaml yml", someFiles},
		{"status --token-file _", "", files},
		{"--log-level _", "debug info warn error", noFiles},
		{"completion _", "bash zsh fish", noFiles},
		{"completion bash _", "", noFiles},
		{"rel_", "reload", noFiles},
		{"help _", "attach check completion doctor events reload reset send snippet start status stop tap version wait", noFiles},
		{"help status _", "", noFiles},
		{"check _", "", noFiles},
		{"version _", "", noFiles},
	} {
		words := strings.Fields(row.line)
		words[len(words)-1] = strings.TrimSuffix(words[len(words)-1], "_")
		names, directive := completes(t, "SERIALHUB_API=unix:"+p.dir+"/api", words...)
		if got := strings.Join(names, " "); got != row.want || directive != row.directive {
			t.Errorf("%s: %q, %s; want %q, %s", row.line, got, directive, row.want, row.directive)
		}
	}
	// The hub may be named on the line that is completed.
	if names, _ := completes(t, "SERIALHUB_API=unix:/nonexistent/api", "tap", p.at(), ""); strings.Join(names, " ") != links {
		t.Errorf("by --api: %q", names)
	}
	if names, _ := completes(t, "", "tap", "-c", filepath.Join(p.dir, "links.yaml"), ""); strings.Join(names, " ") != links {
		t.Errorf("by -c: %q", names)
	}
}

// TestCompletionWithoutAHub says nothing, and does not keep the shell waiting.
func TestCompletionWithoutAHub(t *testing.T) {
	dir := testenv.Dir(t)
	silent, err := net.Listen("unix", filepath.Join(dir, "silent"))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, address := range []string{"unix:" + dir + "/nobody", "unix:" + dir + "/silent", "not an address"} {
		begin := time.Now()
		names, directive := completes(t, "SERIALHUB_API="+address, "tap", "")
		if took := time.Since(begin); len(names) > 0 || directive != noFiles || took > 5*time.Second {
			t.Errorf("%s: %q, %s, after %v", address, names, directive, took)
		}
	}
}

// TestCompletionInAShell has the shells themselves complete a line: bash with its package of completions, zsh and fish as they are.
func TestCompletionInAShell(t *testing.T) {
	p := startLinks(t)
	const helpers = "/usr/share/bash-completion/bash_completion"
	for _, shell := range []struct{ name, needs, script string }{
		{"bash", helpers, `
			source ` + helpers + `
			source <(serialhub completion bash)
			ask() {
				COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9; COMPREPLY=()
				__start_serialhub 2>/dev/null
				echo "$*: ${COMPREPLY[*]}"
			}
			ask serialhub tap cons
			ask serialhub stop dbg b
			ask serialhub reset dbg --end ""
			complete -p serialhub >/dev/null || echo unknown`},
		{"fish", "", `
			serialhub completion fish | source
			for line in "serialhub tap cons" "serialhub stop dbg b" "serialhub reset dbg --end "
				echo $line: (complete -C $line | string replace -r '\t.*' '')
			end`},
	} {
		t.Run(shell.name, func(t *testing.T) {
			program := testenv.Program(t, shell.name)
			if _, err := os.Stat(shell.needs); shell.needs != "" && err != nil {
				testenv.Program(t, shell.needs) // which says that it is missing
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, program, "-c", shell.script)
			cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"), "SERIALHUB_API=unix:"+p.dir+"/api", "HOME="+p.dir)
			out, err := cmd.CombinedOutput()
			const want = "serialhub tap cons: console1 console2\nserialhub stop dbg b: broken\nserialhub reset dbg --end : a b\n"
			if got := described.Replace(string(out)); err != nil || got != want {
				t.Errorf("%v: it says\n%swant\n%s", err, got, want)
			}
		})
	}
}

// described takes out what bash shows beside names if there are several.
var described = strings.NewReplacer(" (stopped)", "", " (waiting)", "", " (failed)", "", "  ", " ")

// TestScripts of the shells are good, as far as the shells can say it.
func TestScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		code, out, errs := calls(t, "", nil, "completion", shell)
		if code != 0 || errs != "" || !strings.Contains(out, "serialhub") {
			t.Errorf("%s: %d, %s", shell, code, errs)
		}
		if path, err := exec.LookPath(shell); err == nil {
			cmd := exec.Command(path, "-n")
			cmd.Stdin = strings.NewReader(out)
			if complaint, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v, %s", shell, err, complaint)
			}
		}
	}
	expect(t, 2, "", "for which shell? Write serialhub completion with one of bash, zsh, fish\n", "completion")
	expect(t, 2, "", "for which shell?", "completion", "powershell")
	if code, _, errs := calls(t, "", nil, "completion", "bash", "zsh"); code != 2 {
		t.Errorf("two shells: %d, %s", code, errs)
	}
}
