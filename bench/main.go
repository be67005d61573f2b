// Bench compares the hub with socat, and with no relay at all: each does the same work between the same two client
// processes, in turns, so that what else the machine does meets all of them alike.
//
// What is measured is a list of rows (rows.go). A row has a rig made, which is some links of a contender with a client
// at each side, and tells the clients what to do (client_one.go, client_all.go).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

func main() {
	if isClient(os.Args) {
		serveClient()
		return
	}
	os.Exit(execute(os.Args[1:]))
}

// isClient tells whether this program was started by itself.
func isClient(args []string) bool { return len(args) == 2 && args[1] == clientCommand }

// execute carries out a command line and returns the exit code.
func execute(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := run(ctx, args, os.Stdout, os.Stderr)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	return 1
}

// options are what the command line says.
type options struct {
	rounds int
	time   time.Duration // of one measured run
	only   *regexp.Regexp
	hubs   hubs
}

// run carries out a command line: the table goes to out, progress and warnings to progress.
func run(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	contenders, err := o.contenders(progress)
	if err != nil {
		return err
	}
	return compare(ctx, o, contenders, rows(fullSize()), out, progress)
}

func parse(args []string, usage io.Writer) (options, error) {
	o := options{only: regexp.MustCompile("")}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.IntVar(&o.rounds, "rounds", 7, "how often everything is measured")
	flags.DurationVar(&o.time, "time", 700*time.Millisecond, "how long one measured run takes")
	flags.Var(&o.hubs, "hub", "the hub's `program`, or name=program; several are compared with each other")
	flags.Func("only", "measure only rows whose name matches this `regexp`", func(text string) (err error) {
		o.only, err = regexp.Compile(text)
		return err
	})
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("%q: only flags are expected, see -help", flags.Arg(0))
	case o.rounds < 1 || o.time <= 0:
		return o, errors.New("-rounds and -time have to be more than 0")
	case len(o.hubs) == 0:
		return o, errors.New("which hub? Name its program: -hub bin/serialhub")
	}
	return o, nil
}

// contenders are the hubs, socat and ser2net if they are installed, and the bare socketpair.
func (o options) contenders(progress io.Writer) ([]contender, error) {
	list := []contender(o.hubs)
	if program, err := exec.LookPath("socat"); err == nil {
		list = append(list, newSocat(program))
	} else {
		_, err := fmt.Fprintln(progress, "socat is not installed (bench/setup.sh does it); measured without it")
		if err != nil {
			return nil, err
		}
	}
	if program, err := exec.LookPath("ser2net"); err == nil {
		list = append(list, newSer2net(program))
	}
	list = append(list, newDirect())
	seen := map[string]bool{}
	for _, c := range list {
		if seen[c.name] {
			return nil, fmt.Errorf("-hub: two contenders are called %s; name them: -hub old=path -hub new=path", c.name)
		}
		seen[c.name] = true
	}
	return list, nil
}
