package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the commands' help into docs/commands.md")

const (
	commandsPage = "../../docs/commands.md"
	fromHelp     = "<!-- From here on it is what the commands say of themselves; make generate writes it. -->\n"
)

// TestCommandsAreDocumented compares the page of the commands with what they say of themselves.
func TestCommandsAreDocumented(t *testing.T) {
	page, err := os.ReadFile(commandsPage)
	if err != nil {
		t.Fatal(err)
	}
	intro, documented, found := strings.Cut(string(page), fromHelp)
	if !found {
		t.Fatalf("%s has no line %s", commandsPage, fromHelp)
	}
	var says strings.Builder
	for _, group := range rootCommand().Groups() {
		for _, command := range rootCommand().Commands() {
			if command.GroupID == group.ID && command.IsAvailableCommand() && !command.IsAdditionalHelpTopicCommand() {
				fmt.Fprintf(&says, "\n## %s\n\n```\n%s```\n", command.Name(), help(t, command.Name()))
			}
		}
	}
	all := fmt.Sprintf("\n## serialhub\n\n```\n%s```\n%s", help(t), says.String())
	if *update {
		if err := os.WriteFile(commandsPage, []byte(intro+fromHelp+all), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if all != documented {
		t.Errorf("%s is not what the commands say of themselves; run make generate", commandsPage)
	}
}

// help is what `serialhub help` says.
func help(t *testing.T, command ...string) string {
	t.Helper()
	var out bytes.Buffer
	root := rootCommand()
	root.SetOut(&out)
	root.SetArgs(append([]string{"help"}, command...))
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestEveryCommandHasItsPlace in the help, and an example.
func TestEveryCommandHasItsPlace(t *testing.T) {
	for _, command := range rootCommand().Commands() {
		if command.Hidden {
			continue
		}
		if command.GroupID == "" || command.Short == "" || command.Example == "" {
			t.Errorf("%s: group %q, %q, example %q", command.Name(), command.GroupID, command.Short, command.Example)
		}
		for line := range strings.Lines(command.Long) {
			if len(strings.TrimSpace(line)) > 95 {
				t.Errorf("%s: too long to be read: %s", command.Name(), line)
			}
		}
	}
}
