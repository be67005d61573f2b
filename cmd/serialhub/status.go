package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"serialhub/internal/client"
	"serialhub/internal/rest"
)

// shortestInterval is how often a hub may be asked.
const shortestInterval = 100 * time.Millisecond

type statusOptions struct {
	hub      hubOptions
	output   output
	watch    bool
	interval time.Duration
}

func statusCommand() *cobra.Command {
	var options statusOptions
	status := &cobra.Command{
		Use:   "status [LINK…]",
		Short: "Show the links: their states, their peers, and how much has crossed them",
		Long: `Status shows a table of the links, or of those that are named; of one alone, all that is
known of it. A→B is how much of what a's peers have said has reached those of b.

With --watch the table stays and changes, and shows how fast bytes cross, until q or Ctrl-C;
the arrows, space and b scroll it. If the hub goes away, status says so and goes on when it
is back.`,
		Example: `  serialhub status
  serialhub status dbg
  serialhub status --watch
  serialhub status -o json | jq -r '.links[] | select(.state != "up").name'`,
		Args: anyLinks,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := options.check(cmd.Flags().Changed("interval")); err != nil {
				return err
			}
			return options.run(args)
		},
	}
	options.hub.add(status)
	options.output.add(status, "table", asAPI)
	flags := status.Flags()
	flags.BoolVar(&options.watch, "watch", false, "go on, and show how fast bytes cross")
	flags.DurationVar(&options.interval, "interval", time.Second, "how often --watch looks")
	explainTime(status, "interval", "such as 500ms or 2s")
	return status
}

func (o *statusOptions) check(hasInterval bool) error {
	if err := o.output.check("table"); err != nil {
		return err
	}
	switch {
	case o.watch && o.output.isJSON():
		return errors.New("--watch is for people; a program that wants to know what changes reads serialhub events -o json")
	case hasInterval && !o.watch:
		return errors.New("--interval is for --watch")
	case o.interval < shortestInterval:
		return fmt.Errorf("--interval: %v is too short; %v is the shortest", o.interval, shortestInterval)
	}
	return nil
}

func (o *statusOptions) run(names []string) error {
	hub, err := o.hub.client()
	if err != nil {
		return err
	}
	defer hub.Close()
	if o.watch {
		return outcome(o.follow(hub, names))
	}
	return outcome(o.once(context.Background(), hub, names))
}

// once shows the links as they are now.
func (o *statusOptions) once(ctx context.Context, hub *client.Client, names []string) error {
	links, err := linksOf(ctx, hub, names)
	if err != nil {
		return err
	}
	if o.output.isJSON() {
		return writeLinks(os.Stdout, names, links)
	}
	style := styleFor(os.Stdout)
	lines := look{links: links}.lines(style, len(names))
	if len(names) == 0 && isTerminal(os.Stdout) {
		status, err := hub.Status(ctx)
		if err != nil {
			return err
		}
		lines = append(append(lines, ""), style.Summary(status)...)
		if status.Links[string(rest.LinkRetrying)]+status.Links[string(rest.LinkFailed)] > 0 {
			lines = append(lines, "serialhub doctor says what to do")
		}
	}
	_, err = os.Stdout.WriteString(strings.Join(lines, "\n") + "\n")
	return err
}

// linksOf asks for the links of those names, in the order of the names; for all, if there are none.
func linksOf(ctx context.Context, hub *client.Client, names []string) ([]rest.Link, error) {
	if len(names) == 1 {
		link, err := hub.Link(ctx, names[0])
		return []rest.Link{link}, err
	}
	all, err := hub.Links(ctx)
	if err != nil || len(names) == 0 {
		return all, err
	}
	byName := make(map[string]rest.Link, len(all))
	for _, link := range all {
		byName[link.Name] = link
	}
	links := make([]rest.Link, len(names))
	for i, name := range names {
		link, known := byName[name]
		if !known {
			if link, err = hub.Link(ctx, name); err != nil { // which says what is wrong with the name
				return nil, err
			}
		}
		links[i] = link
	}
	return links, nil
}
