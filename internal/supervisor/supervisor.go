// Package supervisor keeps a set of links alive: it runs each of them as a group of its own, starts it again when it
// ends, and is the only writer of what is known about it.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/run"

	"serialhub/internal/config"
	"serialhub/internal/continuity"
	"serialhub/internal/endpoint"
	"serialhub/internal/events"
	"serialhub/internal/relay"
)

// ErrNoLink says that there is no link of the name that was asked for.
var ErrNoLink = errors.New("there is no such link")

// ErrStopping says that the hub is on its way out.
var ErrStopping = errors.New("the hub is stopping")

// lookInterval is how often the keeper looks after the sockets' files.
const lookInterval = time.Second

// Supervisor is the set of links. All its methods are safe to call from any goroutine.
type Supervisor struct {
	parts parts
	stop  context.CancelFunc
	ctx   context.Context // its end is this object's state, not a request's

	leaving atomic.Bool // it ends without closing anything

	applying sync.Mutex    // held while links are started, changed or ended; taken before mu
	started  chan struct{} // closed once the links run
	adopted  chan struct{} // closed once they have taken over what was left for them

	mu      sync.Mutex // held only to read or to publish
	links   []*link    // in the order of the config
	names   map[string]*link
	configs map[*link]*config.Link
}

// Past is where the links come from, and where they are kept for those who come later.
type Past struct {
	Store *continuity.Store
	Left  *continuity.Inheritance // what a link of the config finds there, it takes over
	Links []Link                  // how they were, if this program has taken the place of another

	Events events.History // that of the other one, likewise
}

// New makes a supervisor for links, which it keeps, and whose configs may not be changed any more. Nothing is opened before Run. Without a past nothing outlives the process.
func New(links []config.Link, log *slog.Logger, past *Past) (*Supervisor, error) {
	var vault relay.Vault
	var pipes []relay.Pipe
	found := map[string]*legacy{}
	if past == nil {
		past = &Past{}
	} else {
		vault = past.Store
		for _, pipe := range past.Left.Pipes {
			pipes = append(pipes, relay.Pipe(pipe))
		}
		found = legacies(links, past, log)
	}
	loop, err := relay.NewLoop(vault, pipes)
	if err != nil {
		return nil, err
	}
	notices, err := endpoint.NewNotices()
	if err != nil {
		log.Warn("terminals, serial ports and sockets that appear are noticed late", "error", err)
	}
	opener := endpoint.NewOpener(notices)
	s := &Supervisor{started: make(chan struct{}), adopted: make(chan struct{}), parts: parts{
		log:      log,
		loop:     loop,
		keeper:   endpoint.NewKeeper(lookInterval),
		notices:  notices,
		opener:   opener,
		tidier:   newTidier(debug.FreeOSMemory),
		store:    past.Store,
		events:   events.Restore(past.Events),
		dials:    new(dials),
		adopting: new(sync.WaitGroup),
		newWire:  relay.NewLink,
		bind:     opener.Bind,
		dial:     opener.Dial,
	}}
	s.parts.adopting.Add(len(found))
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.parts.stopping = s.ctx.Done()
	list := make([]*link, len(links))
	for i := range links {
		list[i] = newLink(&links[i], s.parts, [2]endpoint.Listener{}, found[links[i].Name])
		if past.Left != nil {
			list[i].takePassed(past)
		}
	}
	s.publish(list, links)
	s.tellMoved(past.Links)
	return s, nil
}

// Events is where everything is published that happens to the links. It stays the same for as long as there is the supervisor.
func (s *Supervisor) Events() *events.Log { return s.parts.events }

// publish makes known which links there are, and what the config says of them.
func (s *Supervisor) publish(links []*link, configs []config.Link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links, s.names, s.configs = links, map[string]*link{}, map[*link]*config.Link{}
	for i, l := range links {
		s.names[configs[i].Name] = l
		s.configs[l] = &configs[i]
	}
}

// Run keeps the links alive until Stop, then lets each deliver what it holds, for a few seconds at most, and closes
// them. It returns nil after Stop, and an error if the event loop fails, which no link survives.
func (s *Supervisor) Run() error {
	var group run.Group
	group.Add(func() error {
		s.launchAll()
		go func() {
			s.parts.adopting.Wait()
			s.parts.loop.Forsake()
			close(s.adopted)
		}()
		<-s.ctx.Done()
		if !s.leaving.Load() {
			s.endAll()
			s.parts.opener.CloseBridges(drainTime)
		}
		s.parts.loop.Stop()
		return nil
	}, func(error) { s.stop() })
	group.Add(func() error {
		if err := s.parts.loop.Run(); err != nil {
			return fmt.Errorf("the event loop failed: %w", err)
		}
		return nil
	}, func(error) {}) // the links need it until they have ended, and then stop it
	group.Add(func() error {
		s.parts.keeper.Run(s.ctx.Done())
		return nil
	}, func(error) { s.stop() })
	group.Add(func() error {
		s.parts.notices.Run(s.ctx.Done())
		return nil
	}, func(error) { s.stop() })
	group.Add(func() error {
		s.parts.tidier.run(s.ctx.Done())
		return nil
	}, func(error) { s.stop() })
	return group.Run()
}

func (s *Supervisor) launchAll() {
	s.applying.Lock()
	defer s.applying.Unlock()
	for _, l := range s.links {
		go l.run()
	}
	close(s.started)
}

// endAll ends every link, all at once, and waits for them.
func (s *Supervisor) endAll() {
	s.applying.Lock()
	defer s.applying.Unlock()
	for _, l := range s.links {
		close(l.quit)
	}
	for _, l := range s.links {
		<-l.ended
	}
}

const (
	// leaveTime is how long Leave waits at most for what has been sent to be delivered.
	leaveTime = time.Second
	// stuckTime is how long it waits for peers that take nothing.
	stuckTime = 50 * time.Millisecond
)

// Leave makes Run end without closing anything, because everything is kept for the next process. What has been sent until now
// is delivered before, as far as the peers take it at once.
func (s *Supervisor) Leave() {
	s.leaving.Store(true)
	s.parts.dials.hold() // for good
	s.parts.opener.HoldBridges()
	s.parts.opener.CloseBridges(leaveTime) // before the links rest, which would wait for it
	s.mu.Lock()
	links := s.links
	s.mu.Unlock()
	last, since := s.undelivered(links)
	for start := time.Now(); last > 0 && time.Since(start) < leaveTime && time.Since(since) < stuckTime; {
		<-time.After(time.Millisecond)
		if now, at := s.undelivered(links); now != last {
			last, since = now, at
		}
	}
	s.pauseTranscripts()
	s.stop()
}

// undelivered has the links rest, and tells how many bytes their peers have still to take, and the time.
func (s *Supervisor) undelivered(links []*link) (sum int, at time.Time) {
	for _, l := range links {
		if wire := l.wire.Load(); wire != nil {
			sum += wire.Rest()
		}
	}
	return sum, time.Now()
}

// Halt stops all links between two bytes, and runs do with the links, and what has happened to them, as of one moment then; do replaces the process, or gives an error,
// and then the links go on; peers with TLS are disconnected in any case. It waits until the links have taken over what was left for them, so
// that do does not see them as they start.
func (s *Supervisor) Halt(do func([]Link, events.History) error) (err error) {
	select {
	case <-s.adopted:
	case <-s.ctx.Done():
		return ErrStopping
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	defer s.parts.dials.hold()()
	s.parts.opener.HoldBridges()
	defer s.parts.opener.OpenBridges()     // if this program goes on
	s.parts.opener.CloseBridges(leaveTime) // nobody can go on with them; what has come from their peers is delivered still
	defer s.pauseTranscripts()()           // as late as that: meanwhile only the tape has what crosses a link
	s.parts.loop.Halt(func() { err = do(s.halted()) })
	return err
}

// halted are all links while the loop stands still, and what has happened to them: what their states show, and nothing else. What a wire has reported may not have come
// to its link yet.
func (s *Supervisor) halted() ([]Link, events.History) {
	s.mu.Lock()
	links := s.links
	s.mu.Unlock()
	list := make([]Link, len(links))
	for i, l := range links {
		wire := l.wire.Load() // before the state, which is settled before there is no wire
		l.mu.Lock()
		defer l.mu.Unlock() // when all are seen
		list[i] = l.status.withCounters(&l.counters)
		list[i].Lost = wire != nil && wire.Lost()
	}
	return list, s.parts.events.History()
}

// Kept tells whether everything that shall outlive the process is kept.
func (s *Supervisor) Kept() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.links {
		if l.stash == nil || l.stash.Behind() {
			return false
		}
	}
	return true
}

// Answers waits until the event loop answers; it does not return while that hangs.
func (s *Supervisor) Answers() { s.parts.loop.Halt(func() {}) }

// Stop makes Run end. It does not wait, and may be called more than once.
func (s *Supervisor) Stop() { s.stop() }

// Links returns every link, in the order of the config.
func (s *Supervisor) Links() []Link {
	links := s.all()
	list := make([]Link, len(links))
	for i, l := range links {
		list[i] = l.snapshot()
	}
	return list
}

// All yields the links that there are now, in the order of the config, each as it is when its turn comes. It is for who takes his time: ten
// thousand of them at once are 4 MB.
func (s *Supervisor) All() iter.Seq[Link] {
	links := s.all()
	return func(yield func(Link) bool) {
		for _, l := range links {
			if !yield(l.snapshot()) {
				return
			}
		}
	}
}

// all are the links. The list is not changed any more: an update makes another one.
func (s *Supervisor) all() []*link {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.links
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
// be opened before; a link that does not run is started. It returns the link as it is then; or ErrNoLink, ErrStopping,
// or the error of ctx.
func (s *Supervisor) Reset(ctx context.Context, name string, sides ...relay.Side) (Link, error) {
	if len(sides) == 0 {
		sides = bothSides()
	}
	return s.command(ctx, name, newCommand(reset, sides...))
}

// StopLink ends a link until it is started or reset: what was sent is delivered, the peers are closed, the sockets are
// removed. It returns the link as it is then, or an error as Reset does.
func (s *Supervisor) StopLink(ctx context.Context, name string) (Link, error) {
	return s.command(ctx, name, newCommand(stop))
}

// StartLink starts a link that does not run. It returns the link as it is then, or an error as Reset does.
func (s *Supervisor) StartLink(ctx context.Context, name string) (Link, error) {
	return s.command(ctx, name, newCommand(start))
}

// Break has the serial port at an end send a break for as long as that. It blocks so long. It returns ErrNoLink, relay.ErrNobody if the port is not open, or
// endpoint.ErrNoBreak if the end is none.
func (s *Supervisor) Break(name string, side relay.Side, d time.Duration) error {
	l, err := s.find(name)
	if err != nil {
		return err
	}
	wire := l.wire.Load()
	if wire == nil {
		return fmt.Errorf("end %s of link %s: %w", side, name, relay.ErrNobody)
	}
	peer, err := wire.Borrow(side)
	if err == nil {
		defer peer.Return()
		err = peer.Break(d)
	}
	if err != nil {
		return fmt.Errorf("end %s of link %s: %w", side, name, err)
	}
	return nil
}

// command has a link carry out a command, and waits until it has.
func (s *Supervisor) command(ctx context.Context, name string, cmd *command) (Link, error) {
	l, err := s.find(name)
	if err != nil {
		return Link{}, err
	}
	select {
	case l.commands <- cmd:
	case <-l.ended:
		return Link{}, s.gone(name)
	case <-ctx.Done():
		return Link{}, ctx.Err()
	}
	select {
	case <-cmd.done:
		return l.snapshot(), nil
	case <-l.ended:
		return Link{}, s.gone(name)
	case <-ctx.Done():
		return Link{}, ctx.Err()
	}
}

// gone tells why a link has ended: with the hub, or because a reload has removed it.
func (s *Supervisor) gone(name string) error {
	if s.ctx.Err() != nil {
		return ErrStopping
	}
	return fmt.Errorf("%w: %s", ErrNoLink, name)
}

// NotOpen returns the names of the links that should run and have an end which is not open.
func (s *Supervisor) NotOpen() []string {
	var names []string
	for _, l := range s.Links() {
		switch l.State {
		case LinkStarting, LinkRetrying, LinkFailed:
			names = append(names, l.Name)
		case LinkWaiting, LinkHalf, LinkUp, LinkStopped:
		}
	}
	return names
}

func (s *Supervisor) find(name string) (*link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.names[name]; l != nil {
		return l, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrNoLink, name)
}
