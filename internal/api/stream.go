package api

import (
	"context"
	"errors"
	"sync"
	"time"

	"serialhub/internal/rest"
)

// Why a stream is over that nobody has ended at the other side.
var (
	errHubStops    = errors.New("the hub stops")
	errHubReplaced = errors.New("the hub is being upgraded")
	errLinkGone    = errors.New("the link was removed")
	errNoMore      = errors.New("the caller may not see this any more, since the hub's config has changed")

	errWatcherSpeaks = errors.New("a watcher only listens; attach takes what is said")
)

// streams are requests that are answered until somebody ends them. They do not hold up who waits for the requests in flight.
type streams struct {
	mu     sync.Mutex
	most   int
	under  map[*stream]bool // that are under way
	closed error            // why every stream ends as it begins; nil if none does
}

type stream struct {
	gate   *gate
	permit permit // or nil
	end    context.CancelCauseFunc
}

type gateKey struct{}

// streaming tells that the request is a stream. The context that it returns ends with a cause when the hub ends the stream, which may be at once; the caller
// calls done at its end. It returns a *problem if there are too many streams under way, or the caller may not have one any more.
func streaming(ctx context.Context) (streams context.Context, done func(), err error) {
	g, served := ctx.Value(gateKey{}).(*gate)
	may, _ := ctx.Value(permitKey{}).(permit)
	ctx, end := context.WithCancelCause(ctx)
	if !served {
		return ctx, func() { end(nil) }, nil
	}
	s := &stream{g, may, end}
	g.streams.mu.Lock()
	defer g.streams.mu.Unlock()
	if g.streams.closed != nil { // it has come by a connection that was open already
		end(g.streams.closed)
		return ctx, func() {}, nil
	}
	if len(g.streams.under) >= g.streams.most {
		end(nil)
		return nil, nil, tooManyStreams()
	}
	if g.streams.under == nil {
		g.streams.under = map[*stream]bool{}
	}
	if may != nil && !may() { // any more: the terms have changed since the caller was let in, and endRevoked has not seen this stream
		end(nil)
		return nil, nil, newProblem(rest.ProblemForbidden, "%s", errNoMore)
	}
	g.streams.under[s] = true
	g.inFlight.Add(-1)
	return ctx, func() {
		g.streams.finish(s, nil)
	}, nil
}

// full tells whether there are as many streams as there may be.
func full(ctx context.Context) bool {
	g, served := ctx.Value(gateKey{}).(*gate)
	if !served {
		return false
	}
	g.streams.mu.Lock()
	defer g.streams.mu.Unlock()
	return len(g.streams.under) >= g.streams.most
}

// partingTime is how long a client has, when the hub ends its stream, to take what is on its way to it.
const partingTime = 500 * time.Millisecond

// outlast returns a context that ends partingTime after the one of a stream.
func outlast(ctx context.Context) (longer context.Context, cancel context.CancelFunc) {
	longer, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(partingTime)
		defer timer.Stop()
		select {
		case <-timer.C:
			end()
		case <-longer.Done():
		}
	})
	return longer, func() {
		stop()
		end()
	}
}

// atEnd has f called when ctx ends. The caller calls settle before it is over itself: f is not called any more then, and not under way.
func atEnd(ctx context.Context, f func()) (settle func()) {
	called := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(called)
		f()
	})
	return func() {
		if !stop() {
			<-called
		}
	}
}

// finish ends a stream, which is then a request in flight, as it was.
func (all *streams) finish(s *stream, why error) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.under[s] {
		delete(all.under, s)
		s.gate.inFlight.Add(1)
	}
	s.end(why)
}

// limit sets how many there may be. Those that are under way stay.
func (all *streams) limit(most int) {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.most = most
}

// endRevoked ends the streams of those who would not be let in any more. It does not wait for them.
func (all *streams) endRevoked() {
	all.mu.Lock()
	defer all.mu.Unlock()
	for s := range all.under {
		if s.permit != nil && !s.permit() {
			delete(all.under, s)
			s.gate.inFlight.Add(1)
			s.end(errNoMore)
		}
	}
}

// endAll ends all streams that are under way, and those that begin until open is called. It does not wait for them.
func (all *streams) endAll(why error) {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.closed = why
	for s := range all.under {
		delete(all.under, s)
		s.gate.inFlight.Add(1)
		s.end(why)
	}
}

// open lets streams begin again.
func (all *streams) open() {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.closed = nil
}
