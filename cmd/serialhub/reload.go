package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"serialhub/internal/client"
	"serialhub/internal/config"
	"serialhub/internal/rest"
	"serialhub/internal/table"
)

func reloadCommand() *cobra.Command {
	var options changeOptions
	reload := &cobra.Command{
		Use:   "reload",
		Short: "Have the hub read its file again, and tell what has changed",
		Long: `Reload has the hub read its file again and apply the difference, and waits until it has.
Links that did not change lose nothing. If the file has faults, all are shown, as check
shows them, nothing has changed, and the exit code is 2; if the hub could not apply it for
another reason, it is 1.

With -c the hub is looked for at the api.listen that is in the file now. If that is what
has changed, say with --api where the hub is still.`,
		Example: `  serialhub reload`,
		Args:    nothing,
		RunE:    func(*cobra.Command, []string) error { return options.reload() },
	}
	options.add(reload)
	return reload
}

func (o *changeOptions) reload() error {
	if err := o.output.check("text"); err != nil {
		return err
	}
	hub, err := o.hub.client()
	if err != nil {
		return err
	}
	defer hub.Close()
	changes, err := hub.Reload(context.Background())
	if err != nil {
		return notReloaded(hub, err)
	}
	if o.output.isJSON() {
		return outcome(writeJSON(o.out(), changes))
	}
	_, err = fmt.Fprintln(o.out(), table.Changes(changes))
	return outcome(err)
}

// notReloaded is what is wrong with the file, as check would say it, if that is what is wrong.
func notReloaded(hub *client.Client, err error) error {
	p := (*client.Problem)(nil)
	if !errors.As(err, &p) || p.Type != rest.ProblemReloadFailed {
		return outcome(err)
	}
	faults := &config.Faults{File: "the hub's file"}
	ofFile := false
	for _, fault := range p.Faults {
		ofFile = ofFile || fault.Key != "" || fault.Line > 0
		fault.Key, fault.Message, fault.Source = client.Printable(fault.Key), client.Printable(fault.Message), printableLine(fault.Source)
		faults.List = append(faults.List, config.Fault(fault))
	}
	if !ofFile {
		return &failure{fmt.Errorf("not reloaded, and nothing was changed: %w", err)}
	}
	if status, err := hub.Status(context.Background()); err == nil {
		faults.File = client.Printable(status.Config)
	}
	return faults
}

// printableLine makes a line of a file safe for a terminal, and keeps its columns.
func printableLine(line string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, line)
}
