package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"serialhub/internal/escape"
	"serialhub/internal/nearest"
	"serialhub/internal/search"
	"serialhub/internal/supervisor"
)

type waitOptions struct {
	hub                  hubOptions
	state, text, re, end string
	sinceStart           bool
	timeout              time.Duration
	hasState, hasText    bool
}

func waitCommand() *cobra.Command {
	var options waitOptions
	wait := &cobra.Command{
		Use:   "wait LINK {--for STATE | --text TEXT | --regex RE}",
		Short: "Wait until a link is in a state, or somebody says something",
		Long: `Wait ends with exit code 0 once the link is in the state, or the text or the expression has
come; with 1 if that has not happened before --timeout. It prints nothing. A state in which the
link is for a moment only counts, too.

What was said before wait began is not looked at, except with --since-start, as far as the
hub has kept it. A link that does not exist is an error at once; a hub that is not there
(yet) is tried again.`,
		Example: `  serialhub wait dbg --for up
  serialhub wait console --text 'login: ' --end a --timeout 5m
  serialhub wait console --regex 'panic|Oops' --since-start --timeout 0`,
		Args: oneLink,
		RunE: func(cmd *cobra.Command, args []string) error {
			changed := cmd.Flags().Changed
			options.hasState, options.hasText = changed("for"), changed("text")
			if err := oneThing(changed); err != nil {
				return err
			}
			return options.run(args[0])
		},
	}
	options.hub.add(wait)
	flags := wait.Flags()
	flags.StringVar(&options.state, "for", "", "until the link is "+states())
	flags.StringVar(&options.text, "text", "", "until this has been said; with the escapes "+escape.Known)
	flags.StringVar(&options.re, "regex", "", "until something has been said that this matches (RE2 syntax; ^ and $ are the borders of a line)")
	flags.StringVar(&options.end, "end", "", "a or b: only what that end's peer says (else each by itself)")
	flags.BoolVar(&options.sinceStart, "since-start", false, "look first at what the hub has kept (scrollback)")
	flags.DurationVar(&options.timeout, "timeout", time.Minute, "for how long; 0: for ever")
	explainTime(wait, "timeout", "such as 5s, 10m or 1h30m (0 is for ever)")
	complete(wait, "for", stateNames()...)
	return wait
}

// oneThing checks that the flags that were given name one thing to wait for.
func oneThing(given func(flag string) bool) error {
	var things []string
	for _, flag := range []string{"for", "text", "regex"} {
		if given(flag) {
			things = append(things, "--"+flag)
		}
	}
	switch {
	case len(things) == 0:
		return errors.New("wait for what? Write --for STATE, --text TEXT or --regex RE")
	case len(things) > 1:
		return fmt.Errorf("wait waits for one thing, not for %s: write one of them", strings.Join(things, " and "))
	}
	for _, flag := range []string{"end", "since-start"} {
		if given("for") && given(flag) {
			return fmt.Errorf("--%s is for what is said (--text, --regex); --for is for how the whole link is now", flag)
		}
	}
	return nil
}

// states lists the states of a link, for people.
func states() string { return nearest.List(stateNames()) }

func stateNames() (names []string) {
	for _, state := range supervisor.LinkStates() {
		names = append(names, string(state))
	}
	return names
}

func (o *waitOptions) run(link string) error {
	if o.timeout < 0 {
		return errors.New("--timeout: a time cannot be less than 0; 0 is for ever")
	}
	if o.end != "" {
		if err := checkEnd("end", o.end); err != nil {
			return err
		}
	}
	if o.hasState && !slices.Contains(supervisor.LinkStates(), supervisor.LinkState(o.state)) {
		return fmt.Errorf("--for: a link is never %q; it is %s", o.state, states())
	}
	finders, err := o.finders()
	if err != nil {
		return err
	}
	hub, err := o.hub.client()
	if err != nil {
		return err
	}
	ctx := context.Background()
	outage := &outage{errs: os.Stderr, until: "until it answers"}
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
		outage.until = fmt.Sprintf("for %v", o.timeout)
	}
	if o.hasState {
		return outcome(o.waitForState(ctx, hub, link, outage))
	}
	return outcome(o.waitForText(ctx, hub, link, finders, outage))
}

// finders makes one for each end that is listened to, so that nothing is found that begins with one peer and ends with the other.
func (o *waitOptions) finders() (map[string]search.Finder, error) {
	finders := map[string]search.Finder{}
	if o.hasState {
		return finders, nil
	}
	ends := []string{"a", "b"}
	if o.end != "" {
		ends = []string{o.end}
	}
	for _, end := range ends {
		finder, err := o.finder()
		if err != nil {
			return nil, err
		}
		finders[end] = finder
	}
	return finders, nil
}

func (o *waitOptions) finder() (search.Finder, error) {
	if !o.hasText {
		finder, err := search.Expression(o.re)
		if err != nil {
			err = fmt.Errorf("--regex: %w", err)
		}
		return finder, err
	}
	text, err := escape.Parse(o.text)
	if err != nil {
		return nil, fmt.Errorf("--text: %w", err)
	}
	finder, err := search.Literal(text)
	if err != nil {
		err = fmt.Errorf("--text: %w", err)
	}
	return finder, err
}
