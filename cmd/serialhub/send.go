package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"serialhub/internal/escape"
)

// longestSend is how much the hub takes at once, in bytes.
const longestSend = 64 << 10

func sendCommand() *cobra.Command {
	var (
		hub    hubOptions
		to     string
		inject bool
	)
	send := &cobra.Command{
		Use:   "send LINK --to END TEXT",
		Short: "Say something to the peer at an end",
		Long: `Send says a text to the peer at an end, as if it came from the other end. TEXT may have the
escapes ` + escape.Known + `; as it is, no line break is added. If TEXT is -, what is said is
the standard input, unchanged, of 64 KiB at most.`,
		Example: `  serialhub send console --to a 'root\r'
  serialhub send console --to a '\x03'
  serialhub send console --to a - < commands`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New(`say what to whom: serialhub send LINK --to a|b TEXT (one argument: quote it)`)
			}
			return checkLink(args[0])
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkEnd("to", to); err != nil {
				return err
			}
			data, err := toSend(args[1])
			if err != nil {
				return err
			}
			client, err := hub.client()
			if err != nil {
				return err
			}
			return outcome(client.Send(context.Background(), args[0], to, inject, data))
		},
	}
	hub.add(send)
	send.Flags().StringVar(&to, "to", "", "a or b: the end whose peer hears it (required)")
	send.Flags().BoolVar(&inject, "inject", false, "also while a peer is at the other end: what both say may mix")
	return send
}

// toSend gives the bytes that an argument stands for.
func toSend(text string) ([]byte, error) {
	if text != "-" {
		data, err := escape.Parse(text)
		if err == nil && len(data) == 0 {
			err = errors.New("there is nothing to send")
		}
		return data, err
	}
	data, err := io.ReadAll(io.LimitReader(os.Stdin, longestSend+1))
	switch {
	case err != nil:
		return nil, &failure{fmt.Errorf("reading what to send: %w", err)}
	case len(data) == 0:
		return nil, errors.New("there is nothing to send: the standard input is empty")
	case len(data) > longestSend:
		return nil, errors.New("more than 64 KiB cannot be sent at once, all or nothing; attach takes any amount")
	}
	return data, nil
}
