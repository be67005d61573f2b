package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"serialhub/internal/client"
	"serialhub/internal/search"
)

// errFound ends the search.
var errFound = errors.New("found")

// waitForText listens to each of the ends until one of the finders has found something.
func (o *waitOptions) waitForText(ctx context.Context, hub *client.Client, link string, finders map[string]search.Finder, outage *outage) error {
	searching, end := context.WithCancelCause(ctx)
	defer end(nil)
	var listeners sync.WaitGroup
	var heard atomic.Bool
	for side, finder := range finders {
		listeners.Go(func() {
			stream := search.NewStream(finder, func() { end(errFound) })
			end(o.listen(searching, hub, link, side, stream, outage, &heard))
		})
	}
	listeners.Wait()
	switch cause := context.Cause(searching); {
	case errors.Is(cause, errFound):
		return nil
	case errors.Is(cause, context.DeadlineExceeded) && !heard.Load():
		return fmt.Errorf("the hub has not answered within %v", o.timeout)
	case errors.Is(cause, context.DeadlineExceeded):
		return fmt.Errorf("%s has not come from %s within %v", o.sought(), o.source(link), o.timeout)
	default:
		return cause
	}
}

// listen lets a stream have what a peer says, until the context ends or the link cannot be watched. It sets heard once it can be.
func (o *waitOptions) listen(ctx context.Context, hub *client.Client, link, end string, stream *search.Stream, outage *outage, heard *atomic.Bool) error {
	options := client.TapOptions{Format: "raw", End: end, SinceStart: o.sinceStart}
	var lost error
	for {
		tap, err := reopen(ctx, outage, lost, func() (*client.Tap, error) { return hub.Tap(ctx, link, options) })
		if err != nil {
			return cause(ctx, err)
		}
		heard.Store(true)
		err = tap.Copy(ctx, stream, func(client.Missed) { stream.Reset() })
		tap.Close()
		if !o.sinceStart { // which finds that, and more
			options.From = tap.Position()
		}
		stream.Reset() // what comes through the next tap does not follow upon this
		if err == nil {
			err = &client.LostError{Reason: "the hub has ended the stream"}
		}
		if ctx.Err() != nil || !isPassing(err) {
			return cause(ctx, err)
		}
		lost = err
	}
}

// cause is why the context ended, or else the error.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (o *waitOptions) sought() string {
	if o.hasText {
		return fmt.Sprintf("%q", o.text)
	}
	return fmt.Sprintf("a match of %q", o.re)
}

func (o *waitOptions) source(link string) string {
	if o.end == "" {
		return link
	}
	return "end " + o.end + " of " + link
}
