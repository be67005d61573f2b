package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/config"
	"serialhub/internal/continuity"
)

// answerTime is how long a front that stops waits for the answers under way.
const answerTime = time.Second

// Front serves the API on a set of addresses, to those who may call, both of which can change while it runs.
type Front struct {
	server  *http.Server
	log     *slog.Logger
	quit    chan struct{}
	stop    func()
	terms   atomic.Pointer[terms]
	crowd   crowd
	crowded *seldom

	gate gate

	mu        sync.Mutex
	left      []continuity.File // sockets of an earlier program, until they are taken over
	running   bool
	listeners map[config.APIAddress]net.Listener
}

// NewFront opens the addresses, or takes over the sockets that an earlier program has left for them; it closes those for others.
// Nothing is served before Run, but clients can connect from now on.
func NewFront(handler http.Handler, c config.API, left []continuity.File, log *slog.Logger) (*Front, error) {
	f := &Front{log: log, left: left, quit: make(chan struct{}), listeners: map[config.APIAddress]net.Listener{}, crowded: newSeldom(1)}
	f.server = f.newServer(f.gate.count(handler))
	f.stop = sync.OnceFunc(func() {
		f.gate.streams.endAll(errHubStops) // now, so that nothing else is taken for the reason
		close(f.quit)
	})
	f.Limit(MostConnections)
	f.discard(func(name string) bool { // first, for they may keep others from being opened
		return !slices.ContainsFunc(c.Listen, func(l config.APIListener) bool {
			_, found := traceOf(l, name)
			return found
		})
	})
	now, err := newTerms(c)
	if err == nil {
		f.listeners, err = f.open(c.Listen)
	}
	f.discard(func(string) bool { return true })
	if err != nil {
		return nil, err
	}
	now.warn(c, log)
	f.terms.Store(now)
	return f, nil
}

// Run serves until Stop. It returns nil.
func (f *Front) Run() error {
	f.mu.Lock()
	f.running = true
	for addr, listener := range f.listeners {
		f.serve(addr, listener)
	}
	f.mu.Unlock()
	<-f.quit
	f.EndStreams()
	end := time.Now().Add(answerTime)
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	if f.server.Shutdown(ctx) != nil {
		f.server.Close() //nolint:errcheck // its listeners are closed already
	}
	f.gate.settle(end) // the server does not know of WebSockets, which have to hear why they are closed
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, listener := range f.listeners { // the server may not have heard yet of one that has just been opened
		closeListener(listener, f.log)
	}
	return nil
}

// Stop makes Run end, within a second or so. It does not wait, and may be called more than once.
func (f *Front) Stop() { f.stop() }

// discard closes sockets that were left.
func (f *Front) discard(useless func(name string) bool) {
	f.left = slices.DeleteFunc(f.left, func(file continuity.File) bool {
		if !useless(file.Name) {
			return false
		}
		unix.Close(file.FD) // nothing is lost by it
		return true
	})
}

// open opens those of the addresses that are not open yet: all of them or, with an error, none.
func (f *Front) open(addresses []config.APIListener) (map[config.APIAddress]net.Listener, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	opened := map[config.APIAddress]net.Listener{}
	for _, l := range addresses {
		addr := l.APIAddress
		if f.listeners[addr] != nil || opened[addr] != nil {
			continue
		}
		listener, err := f.listen(l)
		if err != nil {
			for _, other := range opened {
				closeListener(other, f.log)
			}
			return nil, err
		}
		opened[addr] = listener
	}
	return opened, nil
}

// listen opens an address, or takes over the socket that was left for it.
func (f *Front) listen(addr config.APIListener) (net.Listener, error) {
	for i, file := range f.left {
		trace, found := traceOf(addr, file.Name)
		if !found {
			continue
		}
		f.left = slices.Delete(f.left, i, i+1)
		listener, err := adopt(addr, file.FD, trace)
		if err == nil {
			return listener, nil
		}
		f.log.Warn("a socket of the API that was left cannot be used", "address", addr.String(), "error", err)
		break
	}
	return listen(addr)
}

func (f *Front) serve(addr config.APIAddress, listener net.Listener) {
	now := f.terms.Load()
	f.log.Info("the API answers", "address", addr.Network+":"+listener.Addr().String(), "tls", now.tls != nil && addr.Network != "unix")
	go func() {
		err := f.server.Serve(&entrance{gatedListener{listener, &f.gate}, f, now.listeners[addr]})
		if !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			f.log.Error("the API does not answer any more", "address", addr.String(), "error", err)
		}
	}()
}

func closeListener(listener net.Listener, log *slog.Logger) {
	if err := listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		log.Warn("could not close a socket of the API cleanly", "address", listener.Addr().String(), "error", err)
	}
}
