package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"serialhub/internal/client"
	"serialhub/internal/console"
)

// menuTime is how long a command of the menu may take. Nothing that is typed is heard meanwhile.
const menuTime = 3 * time.Second

type attachOptions struct {
	hub     hubOptions
	end     string
	replace bool
}

func attachCommand() *cobra.Command {
	var options attachOptions
	attach := &cobra.Command{
		Use:   "attach LINK --end END",
		Short: "Be the peer of a free end, from this terminal",
		Long: `Attach makes this terminal the peer of an end: what is typed goes to the peer at the other
end, and what that says is shown. Every key goes there, Ctrl-C too, but Ctrl-], and then:

  q        leaves
  b        sends a break
  s        shows the link
  Ctrl-]   sends Ctrl-] itself
  ?        lists these

If the standard input is no terminal, all of it is sent as it is, and attach leaves after
its end, once the other side has been silent for half a second.`,
		Example: `  serialhub attach console --end b
  echo reboot | serialhub attach console --end b`,
		Args: oneLink,
		RunE: func(_ *cobra.Command, args []string) error { return options.run(args[0]) },
	}
	options.hub.add(attach)
	attach.Flags().StringVar(&options.end, "end", "", "a or b: the end to be at (required)")
	attach.Flags().BoolVar(&options.replace, "replace", false, "take the place of who is there")
	return attach
}

func (o *attachOptions) run(link string) error {
	if err := checkEnd("end", o.end); err != nil {
		return err
	}
	hub, err := o.hub.client()
	if err != nil {
		return err
	}
	line, err := hub.Attach(context.Background(), link, o.end, o.replace)
	if err != nil {
		return outcome(err)
	}
	session := &console.Session{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Line: line,
		Welcome: fmt.Sprintf("attached to end %s of %s; Ctrl-] q leaves, Ctrl-] ? shows more", o.end, link),
		Notice:  o.nobody(hub, link),
		Flush:   line.Flush,
		Status:  func() (string, error) { return o.status(hub, link) },
		Break:   func() error { return o.sendBreak(hub, link) },
	}
	err = session.Run()
	line.Leave()
	if err != nil {
		err = fmt.Errorf("no longer at end %s of %s: %w", o.end, link, err)
	}
	return outcome(err)
}

// nobody says so if there is nobody at the other end: what is typed may be lost, and looks as if it were not.
func (o *attachOptions) nobody(hub *client.Client, name string) string {
	ctx, cancel := context.WithTimeout(context.Background(), menuTime)
	defer cancel()
	link, err := hub.Link(ctx, name)
	if err != nil || client.HasPeer(link.Ends[o.other()]) {
		return ""
	}
	return fmt.Sprintf("nobody is at end %s of %s yet; what is said meanwhile is dropped, or waits, as the link's absent says", o.other(), name)
}

// status says in a few lines how the link is and who is there.
func (o *attachOptions) status(hub *client.Client, name string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), menuTime)
	defer cancel()
	link, err := hub.Link(ctx, name)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("%s is %s", name, client.Printable(string(link.State)))
	for _, end := range []string{"a", "b"} {
		peer := client.PeerName(link.Ends[end].Peer)
		if end == o.end {
			peer += " (here)"
		}
		text += fmt.Sprintf("\n  %s: %s", end, peer)
	}
	return text, nil
}

func (o *attachOptions) other() string { return map[string]string{"a": "b", "b": "a"}[o.end] }

// sendBreak sends a break to the machine, which is at the other end.
func (o *attachOptions) sendBreak(hub *client.Client, link string) error {
	ctx, cancel := context.WithTimeout(context.Background(), menuTime)
	defer cancel()
	return hub.Break(ctx, link, o.other())
}
