package main

import (
	"context"
	"errors"
	"fmt"

	"serialhub/internal/client"
	"serialhub/internal/rest"
)

// waitForState follows a link until it is in the state, or the context ends.
func (o *waitOptions) waitForState(ctx context.Context, hub *client.Client, name string, outage *outage) error {
	state := "" // as far as is known
	last := ""  // up to where is known what has happened, also while the hub was replaced
	var lost error
	for {
		events, err := reopen(ctx, outage, lost, func() (*client.Events, error) { return hub.Events(ctx, name, last) })
		if err == nil {
			err = o.followState(ctx, hub, name, events, &state)
			last = events.LastID()
			events.Close()
		}
		switch {
		case errors.Is(err, errFound):
			return nil
		case ctx.Err() != nil && state == "":
			return fmt.Errorf("the hub has not answered within %v", o.timeout)
		case ctx.Err() != nil:
			return fmt.Errorf("%s has not been %s within %v; it is %s", name, o.state, o.timeout, client.Printable(state))
		case !isPassing(err):
			return err
		}
		lost = err
	}
}

// followState looks at the link once its events are heard, so that no state is missed in between, and then at those. It returns errFound when the link is in the state.
func (o *waitOptions) followState(ctx context.Context, hub *client.Client, name string, events *client.Events, state *string) error {
	link, err := hub.Link(ctx, name)
	if err != nil {
		return err
	}
	*state = string(link.State)
	for *state != o.state {
		event, err := events.Next()
		if err != nil {
			return err
		}
		switch event.Type {
		case rest.EventState:
			*state = string(event.State)
		case rest.EventLinkRemoved:
			return &client.LostError{Reason: "the link was removed", Removed: true}
		}
	}
	return errFound
}
