package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"serialhub/internal/client"
	"serialhub/internal/rest"
	"serialhub/internal/table"
)

// changeOptions are those of the commands that change something, and tell what has become of it.
type changeOptions struct {
	hub    hubOptions
	output output
	quiet  bool
}

func (o *changeOptions) add(cmd *cobra.Command) {
	o.hub.add(cmd)
	o.output.add(cmd, "text", asAPI)
	cmd.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "say nothing if it has worked")
}

// out is where the result goes.
func (o *changeOptions) out() io.Writer {
	if o.quiet {
		return io.Discard
	}
	return os.Stdout
}

// change has a call made for each of the links, and tells how they are now. One that fails does not keep the others from it.
func (o *changeOptions) change(names []string, call func(ctx context.Context, hub *client.Client, name string) (rest.Link, error)) error {
	if err := o.output.check("text"); err != nil {
		return err
	}
	hub, err := o.hub.client()
	if err != nil {
		return err
	}
	defer hub.Close()
	var links []rest.Link
	var failed error
	for _, name := range names {
		link, err := call(context.Background(), hub, name)
		if err != nil && failed != nil {
			note(os.Stderr, "%v", failed)
		}
		if err != nil {
			failed = err
			if nobody := (*client.NoHubError)(nil); errors.As(err, &nobody) {
				break // nor for the next
			}
			continue
		}
		links = append(links, link)
		if !o.output.isJSON() {
			fmt.Fprintln(o.out(), table.Sentence(link)) //nolint:errcheck // it is done, whoever reads it
		}
	}
	if o.output.isJSON() && len(links) > 0 {
		failed = cmp.Or(failed, writeLinks(o.out(), names, links))
	}
	return outcome(failed)
}

func resetCommand() *cobra.Command {
	var options changeOptions
	var end string
	reset := &cobra.Command{
		Use:   "reset LINK",
		Short: "Close the peers of a link, and open its ends again",
		Long: `Reset closes both peers of a link, or that of one end, and opens at once what could not be
opened. It starts a link again that was stopped or has failed. Who connects again finds the
end open.`,
		Example: `  serialhub reset dbg
  serialhub reset dbg --end a`,
		Args: oneLink,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("end") {
				if err := checkEnd("end", end); err != nil {
					return err
				}
			}
			return options.change(args, func(ctx context.Context, hub *client.Client, name string) (rest.Link, error) {
				return hub.Reset(ctx, name, end)
			})
		},
	}
	options.add(reset)
	reset.Flags().StringVar(&end, "end", "", "a or b: only the peer of that end")
	return reset
}

func stopCommand() *cobra.Command {
	var options changeOptions
	stop := &cobra.Command{
		Use:   "stop LINK…",
		Short: "Hold links down: their peers are closed, and nobody can connect",
		Long: `Stop delivers what was said, closes the peers of the links and their sockets, and holds them
down until start or reset; reload does not start them. The hub goes on.`,
		Example: `  serialhub stop dbg
  serialhub stop vm1 vm2`,
		Args: someLinks,
		RunE: func(_ *cobra.Command, args []string) error {
			return options.change(args, func(ctx context.Context, hub *client.Client, name string) (rest.Link, error) {
				return hub.Stop(ctx, name)
			})
		},
	}
	options.add(stop)
	return stop
}

func startCommand() *cobra.Command {
	var options changeOptions
	start := &cobra.Command{
		Use:   "start LINK…",
		Short: "Let links go again that were stopped or have failed",
		Long: `Start opens the ends of links that were stopped, that the file has as disabled, or that have
failed. A link that runs is left as it is.`,
		Example: `  serialhub start dbg`,
		Args:    someLinks,
		RunE: func(_ *cobra.Command, args []string) error {
			return options.change(args, func(ctx context.Context, hub *client.Client, name string) (rest.Link, error) {
				return hub.Start(ctx, name)
			})
		},
	}
	options.add(start)
	return start
}
