package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"serialhub/internal/config"
)

func checkCommand() *cobra.Command {
	var file, asked string
	check := &cobra.Command{
		Use:   "check -c FILE",
		Short: "Check a file of links: exit code 0, or 2 with every fault",
		Long: `Check reads a file of links as the hub would, and shows every fault with its line and what
would be right. It asks no hub and opens nothing.`,
		Example: `  serialhub check -c /etc/serialhub/links.yaml`,
		Args:    nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return errors.New("which file? Name it: serialhub check -c links.yaml")
			}
			if asked != "" && asked != handover {
				return fmt.Errorf("this program can take over what %q describes, not %q", handover, asked)
			}
			c, err := config.Load(file)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: no faults, %d links\n", file, len(c.Links))
			return err
		},
	}
	check.Flags().StringVarP(&file, "config", "c", "", "the file of links (required)")
	check.Flags().StringVar(&asked, "handover", "", "check also that a hub which leaves its peers in this way can be replaced")
	check.Flags().MarkHidden("handover") //nolint:errcheck // the flag is there
	return check
}
