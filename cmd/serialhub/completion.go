package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// completionTime is how long a shell waits for the names of the links.
const completionTime = time.Second

// shells are those that can be taught to complete.
func shells() []string { return []string{"bash", "zsh", "fish"} }

func completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion {bash|zsh|fish}",
		Short: "Print a script that has a shell complete commands, flags and names of links",
		Long: `Completion prints a script for a shell. The names of links come from the hub that runs, if
it answers within a second: where it is, is said by --api or -c on the line that is
completed, or by SERIALHUB_API.`,
		Example: `  source <(serialhub completion bash)                                         # for this shell
  serialhub completion bash > /etc/bash_completion.d/serialhub                # for all; needs the package bash-completion
  serialhub completion zsh > "${fpath[1]}/_serialhub"
  serialhub completion fish > ~/.config/fish/completions/serialhub.fish`,
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return shells(), cobra.ShellCompDirectiveNoFileComp
		},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(shells(), args[0]) {
				return fmt.Errorf("for which shell? Write serialhub completion with one of %s", strings.Join(shells(), ", "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			out, root := cmd.OutOrStdout(), cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			default:
				return root.GenFishCompletion(out, true)
			}
		},
	}
}

// complete names the values of a flag.
func complete(cmd *cobra.Command, flag string, values ...string) {
	fixed := cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
	if err := cmd.RegisterFlagCompletionFunc(flag, fixed); err != nil {
		panic(err) // there is no such flag: a mistake in this program
	}
}

// completeAll sees to what is completed in the same way wherever it is: the values of flags, and that no argument is a file.
func completeAll(cmd *cobra.Command) {
	if cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	values := map[string][]string{
		"end":        {"a", "b"},
		"to":         {"a", "b"},
		"log-level":  {"debug", "info", "warn", "error"},
		"log-format": {"text", "json"},
	}
	for flag, values := range values {
		if cmd.Flags().Lookup(flag) != nil {
			complete(cmd, flag, values...)
		}
	}
	for _, flag := range []string{"api", "interval", "timeout", "newest", "text", "regex"} {
		if cmd.Flags().Lookup(flag) != nil {
			complete(cmd, flag)
		}
	}
	if cmd.Flags().Lookup("config") != nil {
		cmd.MarkFlagFilename("config", "yaml", "yml") //nolint:errcheck // the flag is there
	}
	for _, child := range cmd.Commands() {
		completeAll(child)
	}
}

// completeLinks names the links that a command may still be given, if a hub says which there are.
func (o *hubOptions) completeLinks(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const silent = cobra.ShellCompDirectiveNoFileComp
	several, takes := strings.Contains(cmd.Use, "LINK…"), strings.Contains(cmd.Use, "LINK")
	if !takes || len(args) > 0 && !several {
		return nil, silent
	}
	hub, err := o.client()
	if err != nil {
		return nil, silent
	}
	defer hub.Close()
	ctx, cancel := context.WithTimeout(context.Background(), completionTime)
	defer cancel()
	links, err := hub.Links(ctx)
	if err != nil {
		return nil, silent
	}
	var names []cobra.Completion
	for _, link := range links {
		if checkLink(link.Name) == nil && isPlain(link.Name) && !slices.Contains(args, link.Name) {
			names = append(names, cobra.CompletionWithDesc(link.Name, string(link.State)))
		}
	}
	return names, silent
}

// isPlain tells whether a shell takes a name as it is. All names of links are such; but what answers may not be a hub.
func isPlain(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", r)
	})
}
