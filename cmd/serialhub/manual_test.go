package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"serialhub/internal/roff"
)

const manual = "../../packaging/man"

// What the page of the program itself has beside its help.
const (
	manualOverview = `
When a VM reboots, its end waits for it to come back; the VM at the other end stays connected and notices nothing. Between two peers no byte is lost, repeated or changed. What is said to nobody is read and dropped, unless the file says otherwise.

The hub runs until SIGTERM or SIGINT. Under systemd, with the unit serialhub.service, its peers keep their connections even if the hub is restarted, crashes or is killed. All commands but check, completion, help and version talk to a hub that runs; doctor and snippet can do without.`
	manualPlace = `
Commands find the hub where --api says; else where SERIALHUB_API says; else at the api.listen of the file that -c names; else at 127.0.0.1:7373.`
)

type manualItem struct{ term, text string }

func manualSignals() []manualItem {
	return []manualItem{
		{"SIGHUP", "The hub reads its file again and applies the difference. Links that did not change lose nothing; a file with a fault changes nothing."},
		{"SIGTERM, SIGINT", "The hub delivers what was sent up to then, waits no longer than a few seconds for those who do not read, removes its sockets and ends with 0. A second signal ends it at once, with 1. Under a service manager that keeps its descriptors it may be a restart, and then the peers stay."},
		{"SIGUSR2", "The hub becomes the program that is now where it was started from: with its pid, sockets, peers, bytes on their way and counters. The new program is tried first; if it is not fit, nothing changes, and the log says why."},
	}
}

func manualExits() []manualItem {
	return []manualItem{
		{"0", "It has worked; the hub was asked to end."},
		{"1", "It has failed: no hub is there, it refuses, it does not know the link, the time is over; the hub has failed while it ran."},
		{"2", "It was not understood: the command line or the file of links is wrong."},
	}
}

func manualEnvironment() []manualItem {
	return []manualItem{
		{"SERIALHUB_API", "Where commands find the hub: host:port, https://host:port or unix:/path."},
		{"SERIALHUB_TOKEN", "The token that commands show."},
		{"SERIALHUB_CA, SERIALHUB_CERT, SERIALHUB_KEY", "As the flags --ca, --cert and --key."},
		{"SERIALHUB_API_LISTEN, SERIALHUB_LOG_LEVEL, SERIALHUB_LOG_FORMAT, …", "Override single values outside of links in the hub's file: SERIALHUB_ and the key in capitals, with _ for a dot."},
		{"NO_COLOR", "Without colours, if it is not empty."},
	}
}

func manualFiles() []manualItem {
	return []manualItem{
		{"/etc/serialhub/links.yaml", "The links of the system's hub, serialhub.service."},
		{"~/.config/serialhub/links.yaml", "Those of a user's, systemctl --user start serialhub."},
		{"/run/serialhub", "The best place for sockets; the service makes it."},
		{"/var/log/serialhub", "Where the service may write transcripts."},
	}
}

// manualPages makes a page for the program, and one for each command.
func manualPages() map[string]string {
	root := rootCommand()
	root.InitDefaultHelpFlag()
	root.InitDefaultVersionFlag()
	pages := map[string]string{}
	page := roff.NewPage("serialhub", 1, lower(root.Short))
	page.Section("SYNOPSIS")
	page.Synopsis("serialhub -c FILE [flags]\nserialhub COMMAND [flags]")
	page.Section("DESCRIPTION")
	page.Text(root.Long + "\n" + manualOverview)
	page.Section("OPTIONS")
	options(page, root.NonInheritedFlags())
	page.Section("COMMANDS")
	page.Text(strings.TrimSpace(manualPlace))
	var others []string
	for _, group := range root.Groups() {
		page.Subsection(strings.TrimSuffix(group.Title, ":"))
		for _, command := range root.Commands() {
			if command.GroupID != group.ID || !command.IsAvailableCommand() {
				continue
			}
			if command.Name() == "help" {
				page.Item(command.Name(), command.Short+".")
				continue
			}
			name := "serialhub-" + command.Name()
			others = append(others, name)
			page.Item(command.Name(), command.Short+". See "+name+"(1).")
			pages[name+".1"] = commandPage(command)
		}
	}
	section := func(title string, items []manualItem) {
		page.Section(title)
		for _, item := range items {
			page.Item(item.term, item.text)
		}
	}
	section("SIGNALS", manualSignals())
	section("EXIT STATUS", manualExits())
	section("ENVIRONMENT", manualEnvironment())
	section("FILES", manualFiles())
	page.Section("EXAMPLES")
	page.Example(root.Example)
	page.Section("SEE ALSO")
	page.Text("links.yaml(5), " + strings.Join(others, "(1), ") + "(1), systemctl(1)")
	pages["serialhub.1"] = page.String()
	return pages
}

func commandPage(command *cobra.Command) string {
	command.InitDefaultHelpFlag()
	page := roff.NewPage("serialhub-"+command.Name(), 1, lower(command.Short))
	page.Section("SYNOPSIS")
	page.Synopsis(command.UseLine())
	page.Section("DESCRIPTION")
	page.Text(command.Long)
	page.Section("OPTIONS")
	options(page, command.Flags())
	page.Section("EXAMPLES")
	page.Example(command.Example)
	page.Section("EXIT STATUS")
	for _, item := range manualExits() {
		page.Item(item.term, item.text)
	}
	page.Section("SEE ALSO")
	page.Text("serialhub(1), links.yaml(5)")
	return page.String()
}

func options(page *roff.Page, flags *pflag.FlagSet) {
	flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(flag)
		term := "--" + flag.Name
		if flag.Shorthand != "" {
			term = "-" + flag.Shorthand + ", " + term
		}
		if value != "" {
			term += " " + strings.ToUpper(value)
		}
		if flag.DefValue != "" && flag.DefValue != "false" && flag.DefValue != "[]" {
			usage += fmt.Sprintf(" (default %s)", flag.DefValue)
		}
		page.Item(term, usage)
	})
}

// lower is a sentence that goes on.
func lower(text string) string { return strings.ToLower(text[:1]) + text[1:] }

// TestManualIsCurrent compares the pages in packaging/man with what the commands say of themselves.
func TestManualIsCurrent(t *testing.T) {
	pages := manualPages()
	if *update {
		old, err := filepath.Glob(manual + "/*.1")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range old {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.MkdirAll(manual, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range pages {
			if err := os.WriteFile(filepath.Join(manual, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	there, err := filepath.Glob(manual + "/*.1")
	if err != nil || len(there) != len(pages) {
		t.Errorf("packaging/man has %d pages of %d (%v); run make generate", len(there), len(pages), err)
	}
	for name, want := range pages {
		if got, err := os.ReadFile(filepath.Join(manual, name)); err != nil || string(got) != want {
			t.Errorf("packaging/man/%s is not what the command says of itself (%v); run make generate", name, err)
		}
	}
}
