package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"serialhub/internal/config"
)

// answerTime is how long a front that stops waits for the answers under way.
const answerTime = time.Second

// Front serves the API on a set of addresses that can change while it runs.
type Front struct {
	server *http.Server
	log    *slog.Logger
	quit   chan struct{}
	stop   func()

	mu        sync.Mutex
	running   bool
	listeners map[config.APIAddress]net.Listener
}

// NewFront opens the addresses. Nothing is served before Run, but clients can connect from now on.
func NewFront(handler http.Handler, addresses []config.APIAddress, log *slog.Logger) (*Front, error) {
	f := &Front{server: newServer(handler, log), log: log, quit: make(chan struct{}), listeners: map[config.APIAddress]net.Listener{}}
	f.stop = sync.OnceFunc(func() { close(f.quit) })
	var err error
	f.listeners, err = f.open(addresses)
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
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	if f.server.Shutdown(ctx) != nil {
		f.server.Close() //nolint:errcheck // its listeners are closed already
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
		listener, err := listen(addr)
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

func (f *Front) serve(addr config.APIAddress, listener net.Listener) {
	f.log.Info("the API answers", "address", addr.Network+":"+listener.Addr().String())
	go func() {
		err := f.server.Serve(listener)
		if !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			f.log.Error("the API does not answer any more", "address", addr.String(), "error", err)
		}
	}()
}

func closeListener(listener net.Listener, log *slog.Logger) {
	if err := listener.Close(); err != nil {
		log.Warn("could not close a socket of the API cleanly", "address", listener.Addr().String(), "error", err)
	}
}
