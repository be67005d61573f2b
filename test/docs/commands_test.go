package docs

import (
	"regexp"
	"strings"
	"testing"

	"serialhub/test/page"
)

var (
	ofSerialhub = regexp.MustCompile(`^(?:bin/)?serialhub ([a-z]+)\b`)
	ofFlag      = regexp.MustCompile(`(?:^|\s)(--?[a-z][a-z-]*)`)
)

// TestNamedCommands wants commands of serialhub that stand in a sentence to be such, and their flags, too. docs/commands.md, which is made from the commands,
// knows them.
func TestNamedCommands(t *testing.T) {
	pages := readTree(t).pages(t)
	known := commandsOf(pages["docs/commands.md"])
	named := 0
	for name, p := range pages {
		for _, span := range p.Spans {
			if !ofSerialhub.MatchString(span.Text) {
				continue
			}
			named++
			if complaint := known.complaint(span.Text); complaint != "" && name != "CHANGELOG.md" {
				t.Errorf("%s:%d: `%s`: %s", name, span.Line, span.Text, complaint)
			}
		}
	}
	if named == 0 {
		t.Error("no page names a command")
	}
}

// commands are what serialhub knows: of each command, by its name, what it says of itself.
type commands map[string]string

func commandsOf(p *page.Page) commands {
	known := commands{}
	for _, block := range p.Blocks {
		known[strings.TrimPrefix(block.Heading, "serialhub")] += block.Text
	}
	return known
}

// complaint says what is wrong with a command line; "" if nothing is.
func (known commands) complaint(line string) string {
	command := ofSerialhub.FindStringSubmatch(line)[1]
	if known[command] == "" {
		return "docs/commands.md has no command " + command
	}
	line, _, _ = strings.Cut(line, "|") // what comes then is of another program
	for _, flag := range ofFlag.FindAllStringSubmatch(line, -1) {
		if !regexp.MustCompile(`(^|\s)` + flag[1] + `\b`).MatchString(known[command] + known[""]) {
			return command + " has no flag " + flag[1]
		}
	}
	return ""
}

// TestCommands shows that a command and a flag that are not are found.
func TestCommands(t *testing.T) {
	known := commands{"": "  -c, --config FILE\n", "tap": "      --end a|b   one\n", "completion": "x"}
	for line, fine := range map[string]bool{
		"serialhub tap dbg --end a": true, "serialhub tap dbg --edn a": false, "serialhub tpa dbg": false, "serialhub tap dbg -c f": true,
		"serialhub completion bash": true, "serialhub tap dbg | wc -l": true, "bin/serialhub tap --en": false,
	} {
		if complaint := known.complaint(line); (complaint == "") != fine {
			t.Errorf("%s: %q", line, complaint)
		}
	}
}
