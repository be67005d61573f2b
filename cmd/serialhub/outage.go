package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"serialhub/internal/client"
)

// patience is how long who watches a hub waits for it when it has gone.
const patience = 30 * time.Second

// retryInterval is how often a hub is looked for that is not there.
const retryInterval = 200 * time.Millisecond

// isPassing tells whether an error may be gone soon: the hub is being started, restarted or stopped.
func isPassing(err error) bool {
	var nobody *client.NoHubError
	var lost *client.LostError
	var problem *client.Problem
	return errors.As(err, &nobody) || errors.As(err, &lost) && !lost.Removed || errors.As(err, &problem) && problem.Status == http.StatusServiceUnavailable
}

// persistently makes a call until it succeeds or fails for good. When the context ends before, the error is why the last one failed that
// was not cut short.
func persistently[T any](ctx context.Context, call func() (T, error), failed func(error)) (T, error) {
	tick := time.NewTicker(retryInterval)
	defer tick.Stop()
	var last error
	for {
		result, err := call()
		if err == nil || ctx.Err() == nil && !isPassing(err) {
			return result, err
		}
		if ctx.Err() == nil {
			last = err
			failed(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return result, cmp.Or(last, ctx.Err())
		}
	}
}

// outage tells once that the hub is gone, and once that it is back, however many streams notice. It is safe for use by many goroutines.
type outage struct {
	errs  io.Writer
	until string // for how long the hub is looked for
	loses bool   // what is said meanwhile is not shown; set before it begins

	mu   sync.Mutex
	gone int // streams
}

func (o *outage) begin(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gone++; o.gone == 1 {
		note(o.errs, "%v; trying again %s", err, o.until)
	}
}

func (o *outage) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gone--; o.gone == 0 {
		text := "the hub is back"
		if o.loses {
			text += "; what was said meanwhile is not shown"
		}
		note(o.errs, "%s", text)
	}
}

// reopen opens a stream, and tells of an outage while that cannot be done. It is called with the error that has ended the stream before, if
// there was one.
func reopen[T any](ctx context.Context, o *outage, before error, call func() (T, error)) (stream T, err error) {
	out := before != nil
	if out {
		o.begin(before)
		select {
		case <-time.After(retryInterval): // or a hub that stops would be asked again and again, until it has
		case <-ctx.Done():
			return stream, before
		}
	}
	stream, err = persistently(ctx, call, func(err error) {
		if !out {
			o.begin(err)
			out = true
		}
	})
	if err == nil && out {
		o.end()
	}
	return stream, err
}
