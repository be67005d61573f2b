package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"serialhub/internal/client"
	"serialhub/internal/console"
	"serialhub/internal/rest"
	"serialhub/internal/table"
)

// look is what a hub has told, and what is wrong with it since then.
type look struct {
	links  []rest.Link
	rates  map[string]table.Rate
	status rest.Status
	failed error     // of the newest look, nil if it has not; the rest is older then
	since  time.Time // since when the hub does not answer
}

// follow shows the links again and again.
func (o *statusOptions) follow(hub *client.Client, names []string) error {
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	var meter table.Meter
	first, err := lookAt(ctx, hub, names, &meter)
	if err != nil {
		return err
	}
	if isTerminal(os.Stdout) && !isDumb() {
		return o.page(ctx, stop, hub, names, &meter, first)
	}
	return o.print(ctx, hub, names, &meter, first)
}

// lookAt asks the hub for everything that is shown.
func lookAt(ctx context.Context, hub *client.Client, names []string, meter *table.Meter) (look, error) {
	status, err := hub.Status(ctx)
	if err != nil {
		return look{}, err
	}
	links, err := linksOf(ctx, hub, names)
	if err != nil {
		return look{}, err
	}
	process := fmt.Sprint(status.PID, status.StartedAt)
	return look{links: links, status: status, rates: meter.Look(process, time.Now(), links)}, nil
}

// again looks again and again, and lets show have what has been seen, until the context ends or something fails for good.
func (o *statusOptions) again(ctx context.Context, hub *client.Client, names []string, meter *table.Meter, last look, show func(look)) error {
	tick := time.NewTicker(o.interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		next, err := lookAt(ctx, hub, names, meter)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			last = next
		case !isPassing(err):
			return err
		default:
			if last.failed == nil {
				last.since, last.rates = time.Now(), map[string]table.Rate{}
			}
			last.failed = err
		}
		show(last)
	}
}

// page shows it on the whole of a terminal.
func (o *statusOptions) page(ctx context.Context, stop context.CancelCauseFunc, hub *client.Client, names []string, meter *table.Meter, seen look) error {
	var mu sync.Mutex
	redraw := make(chan struct{}, 1)
	go func() {
		stop(o.again(ctx, hub, names, meter, seen, func(next look) {
			mu.Lock()
			seen = next
			mu.Unlock()
			select {
			case redraw <- struct{}{}:
			default:
			}
		}))
	}()
	page := console.Page{In: os.Stdin, Out: os.Stdout, Draw: func(width int) (top, scrolled []string) {
		mu.Lock()
		defer mu.Unlock()
		style := styleFor(os.Stdout)
		style.Width = width
		return seen.draw(style, len(names))
	}}
	return page.Run(ctx, redraw)
}

// draw gives the lines that stay, of which the last is the table's head, and the others.
func (l look) draw(style table.Style, names int) (top, scrolled []string) {
	if l.failed != nil {
		top = append(top, style.Alarm(fmt.Sprintf("gone for %v, trying again: %v", style.Now.Sub(l.since).Round(time.Second), l.failed)))
	} else {
		top = style.Summary(l.status)
	}
	lines := l.lines(style, names)
	return append(top, "", lines[0]), lines[1:]
}

// lines are the table, or all that is known of one link if only that was asked for.
func (l look) lines(style table.Style, names int) []string {
	if names == 1 {
		return style.Link(l.links[0], l.rates)
	}
	return style.Links(l.links, l.rates)
}

// print writes a table each time, for what is no terminal that could show a page.
func (o *statusOptions) print(ctx context.Context, hub *client.Client, names []string, meter *table.Meter, first look) error {
	ctx, stop := untilLeft(ctx, os.Stdout)
	defer stop()
	outage := outage{errs: os.Stderr, until: "until it answers"}
	gone := false
	show := func(l look) {
		if gone != (l.failed != nil) {
			if gone = !gone; gone {
				outage.begin(l.failed)
			} else {
				outage.end()
			}
		}
		if gone {
			return
		}
		os.Stdout.WriteString(strings.Join(l.lines(styleFor(os.Stdout), len(names)), "\n") + "\n\n") //nolint:errcheck // SIGPIPE says it
	}
	show(first)
	return o.again(ctx, hub, names, meter, first, show)
}
