// Serialhub joins virtual serial ports: it keeps named links between pairs of sockets up, whatever the VMs at their
// ends do.
package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"serialhub/internal/config"
	"serialhub/internal/nearest"
)

// Exit codes.
const (
	exitFailure = 1 // while running
	exitUsage   = 2 // of the command line or the config
)

func main() { os.Exit(execute(os.Args[1:])) }

// execute runs a command line and returns its exit code.
func execute(args []string) int {
	root := rootCommand()
	root.SetArgs(args)
	err := root.Execute()
	if err == nil {
		return 0
	}
	var faults *config.Faults
	var failure *failure
	switch {
	case errors.As(err, &faults):
		fmt.Fprintln(os.Stderr, faults)
	case errors.As(err, &failure):
		fmt.Fprintf(os.Stderr, "serialhub: %v\n", err)
		brake()
		return exitFailure
	default:
		fmt.Fprintf(os.Stderr, "serialhub: %v\n", err)
	}
	return exitUsage
}

// brakeTime is how long a hub that fails waits before it ends, if a service manager may start it again at once.
const brakeTime = time.Second

func brake() {
	if os.Getenv("NOTIFY_SOCKET") != "" {
		<-time.After(brakeTime)
	}
}

// failure is an error of the running program, not of what it was told.
type failure struct{ error }

func (f *failure) Unwrap() error { return f.error }

func rootCommand() *cobra.Command {
	var options runOptions
	root := &cobra.Command{
		Use:   "serialhub -c FILE",
		Short: "Join virtual serial ports, and keep them joined whatever the VMs do",
		Long: `Serialhub reads a file of named links, each with two ends that VMs, debuggers and
terminals connect to, and carries bytes between them. A peer that leaves costs the
other one nothing: its end waits for the next.`,
		Example: `  serialhub -c /etc/serialhub/links.yaml
  serialhub status
  serialhub tap dbg
  curl http://127.0.0.1:7373/links`,
		Args:          noArgs,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(*cobra.Command, []string) error { return runHub(options) },
	}
	flags := root.Flags()
	flags.StringVarP(&options.config, "config", "c", "", "the file of links (required)")
	flags.StringVar(&options.logLevel, "log-level", "", "debug, info, warn or error; overrides the file")
	flags.StringVar(&options.logFormat, "log-format", "", "text or json; overrides the file")
	flags.BoolVar(&options.watch, "watch", false, "reload when the file changes, as SIGHUP does")
	root.CompletionOptions.DisableDefaultCmd = true
	group(root, "run", "Run a hub:", checkCommand(), completionCommand(), snippetCommand(), versionCommand())
	group(root, "look", "See how the links are:", statusCommand(), doctorCommand(), eventsCommand(), waitCommand())
	group(root, "change", "Change how they are:", resetCommand(), startCommand(), stopCommand(), reloadCommand())
	group(root, "watch", "Watch a link, and speak on it:", tapCommand(), attachCommand(), sendCommand())
	root.SetHelpCommand(helpCommand())
	root.SetHelpCommandGroupID("run")
	completeAll(root)
	help := root.HelpTemplate()
	root.SetHelpTemplate(help + "{{if not .HasParent}}" + exitCodes + "{{end}}")
	return root
}

// exitCodes ends the help of the program itself.
const exitCodes = `
Exit codes:
  0  it has worked
  1  it has failed: no hub is there, it refuses, it does not know the link, the time is over
  2  it was not understood: the command line or the file of links is wrong
`

// group adds commands under a heading of the help.
func group(root *cobra.Command, id, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: id, Title: title})
	for _, command := range commands {
		command.GroupID = id
		root.AddCommand(command)
	}
}

// noArgs refuses arguments, with a hint for who has forgotten -c or mistyped a command.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if info, err := os.Stat(args[0]); err == nil && !info.IsDir() {
		return fmt.Errorf("%s is not a command; to run a hub on that file: serialhub -c %[1]s", args[0])
	}
	var names []string
	for _, command := range cmd.Commands() {
		if command.IsAvailableCommand() {
			names = append(names, command.Name())
		}
	}
	if near := nearest.Names(args[0], names); len(near) > 0 {
		return fmt.Errorf("%q is not a command; did you mean %s?", args[0], nearest.List(near))
	}
	return fmt.Errorf("%q is not a command; serialhub --help lists them", args[0])
}

// helpCommand tells of a command that does not exist, which cobra's own does not.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",
		Args: func(help *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("help takes one command, and %q is one word too many", args[1])
			}
			if about, _, err := help.Root().Find(args); err == nil && about != help.Root() {
				return nil
			}
			return noArgs(help.Root(), args)
		},
		RunE: func(help *cobra.Command, args []string) error {
			about, _, err := help.Root().Find(args)
			if err != nil {
				return err
			}
			about.InitDefaultHelpFlag() // or they are not listed
			about.InitDefaultVersionFlag()
			return about.Help()
		},
		ValidArgsFunction: func(help *cobra.Command, args []string, _ string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
			for _, command := range help.Root().Commands() {
				if len(args) == 0 && command.IsAvailableCommand() {
					names = append(names, cobra.CompletionWithDesc(command.Name(), command.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Long: `Version prints the version of this program. That of the hub that runs is in the last line of
serialhub status.`,
		Example: `  serialhub version`,
		Args:    nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "serialhub", version())
			return err
		},
	}
}
