package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"serialhub/internal/config"
	"serialhub/internal/continuity"
	"serialhub/internal/endpoint"
)

// gate lets nobody in while it is closed; who knocks meanwhile waits in the kernel.
type gate struct {
	closed   sync.RWMutex // held for writing while it is closed
	inFlight atomic.Int64 // requests that are being answered, without streams
	streams  streams
}

// gatedListener accepts only while its gate is open.
type gatedListener struct {
	net.Listener
	gate *gate
}

func (l *gatedListener) Accept() (net.Conn, error) {
	for {
		l.gate.closed.RLock()
		l.gate.closed.RUnlock() //nolint:staticcheck // it waits until the gate is open
		conn, err := l.Listener.Accept()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return conn, err
		}
	}
}

// count counts the requests that are being answered.
func (g *gate) count(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.inFlight.Add(1)
		defer g.inFlight.Add(-1)
		handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), gateKey{}, g)))
	})
}

// settle waits until nothing is being answered, but not for ever.
func (g *gate) settle(end time.Time) {
	for g.inFlight.Load() > 0 && time.Now().Before(end) {
		<-time.After(time.Millisecond)
	}
}

// Pause has the front answer what it has been asked, end its streams, and accept nobody until resume is called: whoever connects waits.
func (f *Front) Pause() (resume func()) {
	f.gate.closed.Lock()
	f.deadline(time.Now())
	f.gate.streams.endAll(errHubReplaced)
	f.gate.settle(time.Now().Add(answerTime))
	return func() {
		f.gate.streams.open()
		f.deadline(time.Time{})
		f.gate.closed.Unlock()
	}
}

// EndStreams ends all streams, because the hub stops; the clients are told. It does not wait for long.
func (f *Front) EndStreams() {
	f.gate.streams.endAll(errHubStops)
	f.gate.settle(time.Now().Add(answerTime))
}

// deadline makes calls of Accept return at that time.
func (f *Front) deadline(at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for addr, listener := range f.listeners {
		if l, ok := listener.(interface{ SetDeadline(time.Time) error }); ok {
			if err := l.SetDeadline(at); err != nil {
				f.log.Warn("the API cannot be paused", "address", addr.String(), "error", err)
			}
		}
	}
}

// Sockets are the sockets that the front listens on, for the program that takes this one's place. They stay the front's.
func (f *Front) Sockets() (files []continuity.File) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for addr, listener := range f.listeners {
		raw, ok := listener.(syscall.Conn)
		if !ok {
			continue
		}
		conn, err := raw.SyscallConn()
		if err == nil {
			err = conn.Control(func(fd uintptr) {
				files = append(files, continuity.File{Name: socketName(addr.String(), trace(listener)), FD: int(fd)})
			})
		}
		if err != nil {
			f.log.Warn("the API's address cannot be handed on", "address", addr.String(), "error", err)
		}
	}
	return files
}

// trace is what the next program has to know of a unix socket's file.
func trace(listener net.Listener) string {
	if l, ok := listener.(*unixListener); ok {
		_, trace := l.owner.Kept()
		return trace
	}
	return ""
}

// SocketPrefix is how the names of the sockets begin that a front leaves.
const SocketPrefix = "api "

func socketName(addr, trace string) string { return SocketPrefix + addr + " " + trace }

// traceOf takes the trace out of the name of a socket, if that is the socket of this address.
func traceOf(addr config.APIListener, name string) (trace string, found bool) {
	return strings.CutPrefix(name, socketName(addr.String(), ""))
}

// adoptUnix takes over a unix socket that an earlier program has bound.
func adoptUnix(fd int, s endpoint.Spec, trace string) (net.Listener, error) {
	owner, err := new(endpoint.Opener).Adopt(fd, s, trace)
	if err != nil {
		return nil, err
	}
	var view net.Listener
	if err = owner.Adjust(s); err == nil { // the config may have changed meanwhile
		view, err = netListener(owner.FD())
	}
	if err != nil {
		return nil, errors.Join(err, owner.Close())
	}
	return newUnixListener(view, owner)
}
