package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/config"
	"serialhub/internal/continuity"
)

// answerTime is how long a front that stops waits for the answers under way.
const answerTime = time.Second

// Front serves the API on a set of addresses that can change while it runs.
type Front struct {
	server *http.Server
	log    *slog.Logger
	quit   chan struct{}
	stop   func()

	gate gate

	mu        sync.Mutex
	left      []continuity.File // sockets of an earlier program, until they are taken over
	running   bool
	listeners map[config.APIAddress]net.Listener
}

// NewFront opens the addresses, or takes over the sockets that an earlier program has left for them; it closes those for others.
// Nothing is served before Run, but clients can connect from now on.
func NewFront(handler http.Handler, addresses []config.APIAddress, left []continuity.File, log *slog.Logger) (*Front, error) {
	f := &Front{log: log, left: left, quit: make(chan struct{}), listeners: map[config.APIAddress]net.Listener{}}
	f.server = newServer(f.gate.count(handler), log)
	f.stop = sync.OnceFunc(func() {
		f.gate.streams.endAll(errHubStops) // now, so that nothing else is taken for the reason
		close(f.quit)
	})
	var err error
	f.listeners, err = f.open(addresses)
	for _, file := range f.left {
		unix.Close(file.FD) // no address of this config
	}
	f.left = nil
	return f, err
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

// Move serves the addresses from now on, and no others. If one cannot be opened, it returns an error and everything is
// as it was.
func (f *Front) Move(addresses []config.APIAddress) error {
	opened, err := f.open(addresses)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for addr, listener := range f.listeners {
		if !slices.Contains(addresses, addr) {
			delete(f.listeners, addr)
			f.log.Info("the API does not answer any more", "address", addr.String())
			closeListener(listener, f.log)
		}
	}
	for addr, listener := range opened {
		f.listeners[addr] = listener
		if f.running {
			f.serve(addr, listener)
		}
	}
	return nil
}

// open opens those of the addresses that are not open yet: all of them or, with an error, none.
func (f *Front) open(addresses []config.APIAddress) (map[config.APIAddress]net.Listener, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	opened := map[config.APIAddress]net.Listener{}
	for _, addr := range addresses {
		if f.listeners[addr] != nil || opened[addr] != nil {
			continue
		}
		listener, err := f.listen(addr)
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
func (f *Front) listen(addr config.APIAddress) (net.Listener, error) {
	for i, file := range f.left {
		trace, found := strings.CutPrefix(file.Name, socketName(addr.String(), ""))
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
	f.log.Info("the API answers", "address", addr.Network+":"+listener.Addr().String())
	go func() {
		err := f.server.Serve(&gatedListener{listener, &f.gate})
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
