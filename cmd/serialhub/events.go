package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"serialhub/internal/client"
)

// eventsPatience is how long events waits for a hub that has gone.
const eventsPatience = 30 * time.Second

type eventsOptions struct {
	hub    hubOptions
	output string
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
	events.Flags().StringVarP(&options.output, "output", "o", "text", "text, for people, or json: an object on a line for each event")
	return events
}

func (o *eventsOptions) run(link string) error {
	write := eventText
	switch o.output {
	case "text":
	case "json":
		write = eventJSON
	default:
		return fmt.Errorf("--output: %q is not one; there are text and json", o.output)
	}
	hub, err := o.hub.client()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends a program that cannot write
	ctx, unread := context.WithCancel(ctx)
	defer unread()
	go untilUnread(os.Stdout, unread)
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
	outage := outage{errs: os.Stderr, until: fmt.Sprintf("for %v", eventsPatience)}
	for {
		err := tellAll(events, tell)
		events.Close()
		if !isPassing(err) {
			return err
		}
		last := events.LastID()
		patience, cancel := context.WithTimeout(ctx, eventsPatience)
		events, err = reopen(patience, &outage, err, func() (*client.Events, error) { return hub.Events(ctx, link, last) })
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
