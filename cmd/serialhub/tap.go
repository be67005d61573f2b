package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"serialhub/internal/client"
)

// plain ends colours, and the sequence for one that may be cut off (CAN), which would swallow the beginning of the prompt.
const plain = "\x18\x1b[0m"

type tapOptions struct {
	hub  hubOptions
	file string
	client.TapOptions
}

func tapCommand() *cobra.Command {
	var options tapOptions
	tap := &cobra.Command{
		Use:   "tap LINK",
		Short: "Show what crosses a link, as it does",
		Long: `Tap shows what the peers of a link say to each other, until Ctrl-C. Neither of them notices.

If the hub goes away, tap waits up to 30 s for it to come back, and goes on.`,
		Example: `  serialhub tap dbg
  serialhub tap console --no-follow
  serialhub tap dbg --end a --format raw -w boot.log
  serialhub tap dbg --format pcapng | wireshark -k -i -`,
		Args: oneLink,
		RunE: func(_ *cobra.Command, args []string) error { return options.run(args[0]) },
	}
	options.hub.add(tap)
	flags := tap.Flags()
	flags.StringVar(&options.Format, "format", "hex", strings.Join(tapFormats(), ", "))
	flags.StringVar(&options.End, "end", "", "a or b: only what that end's peer says")
	flags.StringVarP(&options.file, "write", "w", "", "write to this file, and not to the standard output")
	flags.BoolVar(&options.SinceStart, "since-start", false, "show first what the hub has kept (scrollback)")
	flags.StringVarP(&options.Newest, "newest", "n", "", "show first that much of the newest that the hub has kept, such as 4KiB")
	flags.BoolVar(&options.NoFollow, "no-follow", false, "show what the hub has kept (all of it, without -n), and end")
	complete(tap, "format", tapFormats()...)
	return tap
}

func tapFormats() []string { return []string{"hex", "text", "raw", "json", "pcapng"} }

func (o *tapOptions) run(link string) error {
	if !slices.Contains(tapFormats(), o.Format) {
		return fmt.Errorf("--format: %q is not one; there are %s", o.Format, strings.Join(tapFormats(), ", "))
	}
	if o.End != "" {
		if err := checkEnd("end", o.End); err != nil {
			return err
		}
	}
	if err := o.checkKept(); err != nil {
		return err
	}
	toStdout := o.file == "" || o.file == "-"
	if toStdout && isTerminal(os.Stdout) {
		if o.Format == "pcapng" {
			return errors.New("pcapng is nothing for a terminal: write it to a file (-w FILE), or to a program (… | wireshark -k -i -)")
		}
		o.Color = (o.Format == "hex" || o.Format == "text") && hasColors(os.Stdout)
	}
	hub, err := o.hub.client()
	if err != nil {
		return err
	}
	var reader *os.File
	if toStdout {
		reader = os.Stdout
	}
	ctx, stop := untilLeft(context.Background(), reader)
	defer stop()
	err = o.copy(ctx, hub, link, toStdout)
	if o.Color {
		os.Stdout.WriteString(plain) //nolint:errcheck // the terminal may be gone
	}
	if ctx.Err() != nil {
		err = nil // Ctrl-C is how one leaves
	}
	return outcome(err)
}

// checkKept looks at how much of what was kept is wanted: of a tap that ends there, all, if nothing else is said.
func (o *tapOptions) checkKept() error {
	if o.SinceStart && o.Newest != "" {
		return errors.New("--since-start shows all that the hub has kept, and -n the newest of it: write one of them")
	}
	if o.Newest == "" {
		o.SinceStart = o.SinceStart || o.NoFollow
		return nil
	}
	if _, err := humanize.ParseBytes(o.Newest); err != nil {
		return fmt.Errorf("-n: %q is not a number of bytes; write it as in 4096 or 4KiB", o.Newest)
	}
	return nil
}

func (o *tapOptions) copy(ctx context.Context, hub *client.Client, link string, toStdout bool) error {
	tap, err := hub.Tap(ctx, link, o.TapOptions)
	if err != nil {
		return err
	}
	if toStdout {
		return o.follow(ctx, hub, link, tap, os.Stdout)
	}
	// Not before: what is in the file may be worth more than the tap of a link that is not there.
	file, err := os.OpenFile(o.file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		tap.Close()
		return err
	}
	return errors.Join(o.follow(ctx, hub, link, tap, file), file.Close())
}

// follow writes what crosses the link, and survives a hub that is restarted. It closes the tap.
func (o *tapOptions) follow(ctx context.Context, hub *client.Client, link string, tap *client.Tap, out io.Writer) error {
	again := o.TapOptions
	again.SinceStart, again.Newest = false, "" // that has been shown
	outage := outage{errs: os.Stderr, until: fmt.Sprintf("for %v", patience)}
	missed := func(m client.Missed) {
		note(os.Stderr, "missed %d bytes from end %s", m.Bytes, client.Printable(m.End))
	}
	for {
		err := tap.Copy(ctx, out, missed)
		tap.Close()
		again.From = tap.Position()
		outage.loses = again.From == nil
		if o.NoFollow || !isPassing(err) {
			return err
		}
		waiting, cancel := context.WithTimeout(ctx, patience)
		tap, err = reopen(waiting, &outage, err, func() (*client.Tap, error) { return hub.Tap(waiting, link, again) })
		cancel()
		if err != nil {
			return err
		}
	}
}
