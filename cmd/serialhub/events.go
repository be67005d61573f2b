package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"serialhub/internal/client"
)

type eventsOptions struct {
	hub    hubOptions
	output output
}

func eventsCommand() *cobra.Command {
	var options eventsOptions
	events := &cobra.Command{
		Use:   "events [LINK]",
		Short: "Tell what happens to the links, as it does",
		Long: `Events tells what happens to all links, or to one: who comes and leaves, states, resets,
failures and reloads, a line for each, until Ctrl-C.

If the hub goes away, events waits up to 30 s for it to come back, and goes on with what has
happened meanwhile.`,
		Example: `  serialhub events
  serialhub events dbg -o json | jq .type`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return oneLink(cmd, args)
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{""}
			}
			return options.run(args[0])
		},
	}
	options.hub.add(events)
	options.output.add(events, "text", "an object on a line for each event")
	return events
}

func (o *eventsOptions) run(link string) error {
	if err := o.output.check("text"); err != nil {
		return err
	}
	write := eventText
	if o.output.isJSON() {
		write = eventJSON
	}
	hub, err := o.hub.client()
	if err != nil {
		return err
	}
	ctx, stop := untilLeft(context.Background(), os.Stdout)
	defer stop()
	err = follow(ctx, hub, link, func(e *client.Event) error {
		_, err := io.WriteString(os.Stdout, write(e))
		return err
	})
	if ctx.Err() != nil || errors.Is(err, syscall.EPIPE) {
		err = nil // that is how one leaves
	}
	return outcome(err)
}

// follow has each event told, and survives a hub that is restarted.
func follow(ctx context.Context, hub *client.Client, link string, tell func(*client.Event) error) error {
	events, err := hub.Events(ctx, link, "")
	if err != nil {
		return err
	}
	outage := outage{errs: os.Stderr, until: fmt.Sprintf("for %v", patience)}
	for {
		err := tellAll(events, tell)
		events.Close()
		if !isPassing(err) {
			return err
		}
		last := events.LastID()
		waiting, cancel := context.WithTimeout(ctx, patience)
		events, err = reopen(waiting, &outage, err, func() (*client.Events, error) { return hub.Events(ctx, link, last) })
		cancel()
		if err != nil {
			return err
		}
	}
}

// tellAll has each event of a stream told, until it ends or one cannot be told.
func tellAll(events *client.Events, tell func(*client.Event) error) error {
	for {
		event, err := events.Next()
		if err == nil {
			err = tell(event)
		}
		if err != nil {
			return err
		}
	}
}
