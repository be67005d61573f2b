// Package supervisor keeps a set of links alive: it runs each of them as a group of its own, starts it again when it
// ends, and is the only writer of what is known about it.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"serialhub/internal/config"
	"serialhub/internal/relay"
)

// ErrNoLink says that there is no link of the name that was asked for.
var ErrNoLink = errors.New("there is no such link")

// ErrStopping says that the hub is on its way out.
var ErrStopping = errors.New("the hub is stopping")

// Supervisor is the set of links. All its methods are safe to call from any goroutine.
type Supervisor struct {
	loop  *relay.Loop
	log   *slog.Logger
	links []*link // in the order of the config
	stop  context.CancelFunc
	ctx   context.Context //nolint:containedctx // its end is this object's state, not a request's
}

// New makes a supervisor for links. Nothing is opened before Run.
func New(links []config.Link, log *slog.Logger) (*Supervisor, error) {
	loop, err := relay.NewLoop()
	if err != nil {
		return nil, err
	}
	s := &Supervisor{loop: loop, log: log}
	s.ctx, s.stop = context.WithCancel(context.Background())
	for _, c := range links {
		s.links = append(s.links, newLink(c, loop, log))
	}
	return s, nil
}

// Run keeps the links alive until Stop, then lets each deliver what it holds, for a few seconds at most, and closes
// them. It returns nil after Stop, and an error if the event loop fails, which no link survives.
func (s *Supervisor) Run() error {
	looped := make(chan error, 1)
	go func() { looped <- s.loop.Run() }()
	for _, l := range s.links {
		go l.run()
	}
	var err error
	select {
	case err = <-looped:
	case <-s.ctx.Done():
	}
	for _, l := range s.links {
		close(l.stop)
	}
	for _, l := range s.links {
		<-l.ended
	}
	if err != nil {
		return fmt.Errorf("the event loop failed: %w", err)
	}
	s.loop.Stop()
	return <-looped
}

// Stop makes Run end. It does not wait, and may be called more than once.
func (s *Supervisor) Stop() { s.stop() }

// Links returns every link, in the order of the config.
func (s *Supervisor) Links() []Link {
	list := make([]Link, len(s.links))
	for i, l := range s.links {
		list[i] = l.snapshot()
	}
	return list
}

// Link returns the link of that name, or ErrNoLink.
func (s *Supervisor) Link(name string) (Link, error) {
	l, err := s.find(name)
	if err != nil {
		return Link{}, err
	}
	return l.snapshot(), nil
}

// Reset closes the peers of a link, those of all sides that are named or of both, and opens at once what could not
// be opened before. It returns the link as it is then; or ErrNoLink, ErrStopping, or the error of ctx.
func (s *Supervisor) Reset(ctx context.Context, name string, sides ...relay.Side) (Link, error) {
	l, err := s.find(name)
	if err != nil {
		return Link{}, err
	}
	if len(sides) == 0 {
		sides = bothSides()
	}
	r := newReset(sides)
	select {
	case l.resets <- r:
	case <-l.ended:
		return Link{}, ErrStopping
	case <-ctx.Done():
		return Link{}, ctx.Err()
	}
	select {
	case <-r.done:
		return l.snapshot(), nil
	case <-l.ended:
		return Link{}, ErrStopping
	case <-ctx.Done():
		return Link{}, ctx.Err()
	}
}

// NotOpen returns the names of the links that have an end which is not open yet, or not any more.
func (s *Supervisor) NotOpen() []string {
	var names []string
	for _, l := range s.Links() {
		for _, end := range l.Ends {
			if end.State != EndWaiting && end.State != EndConnected {
				names = append(names, l.Name)
				break
			}
		}
	}
	return names
}

func (s *Supervisor) find(name string) (*link, error) {
	for _, l := range s.links {
		if l.config.Name == name {
			return l, nil
		}
	}
	return nil, fmt.Errorf("%w: %s", ErrNoLink, name)
}
