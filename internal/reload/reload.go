// Package reload reads the config again, when asked to, and has the difference applied.
package reload

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"serialhub/internal/config"
	"serialhub/internal/events"
)

// ErrStopping says that the hub is on its way out, and reads nothing any more.
var ErrStopping = errors.New("the hub is stopping")

// Result is what became of a reload.
type Result struct {
	At      time.Time
	Changes config.Changes // if Err is nil
	Err     error          // *config.Faults if the file is wrong; nothing was changed then
}

// Reloader is the one way to another config, whoever asks for it: one reload at a time, and one for a burst of
// requests. All methods are safe to call from any goroutine.
type Reloader struct {
	load  func() (*config.Config, error)
	apply func(*config.Config) (config.Changes, error)
	begin func() (end func()) // is called when a reload begins, and end when it is over
	log   *slog.Logger
	told  *events.Log
	asked chan struct{} // has room for one
	quit  chan struct{}
	stop  func()
	ended chan struct{} // closed when Run has returned

	mu      sync.Mutex
	waiters []chan Result // of those who have asked since the last reload began
	last    Result
	applied time.Time // when the last reload began that did not fail
}

// New makes a Reloader that loads by load and applies by apply, which changes nothing if it returns an error; begin is told of each
// reload, and what it returns of the end. What becomes of each is published in told, if that is not nil. The
// config that the hub has started with counts as the last reload.
func New(load func() (*config.Config, error), apply func(*config.Config) (config.Changes, error), begin func() (end func()), told *events.Log, log *slog.Logger) *Reloader {
	r := &Reloader{
		load:  load,
		apply: apply,
		begin: begin,
		log:   log,
		told:  told,
		asked: make(chan struct{}, 1),
		quit:  make(chan struct{}),
		ended: make(chan struct{}),
	}
	r.keep(Result{At: time.Now()})
	r.stop = sync.OnceFunc(func() { close(r.quit) })
	return r
}

// Run carries out reloads until Stop. It returns nil.
func (r *Reloader) Run() error {
	defer close(r.ended)
	for {
		select {
		case <-r.quit:
			return nil
		case <-r.asked:
			r.reload()
		}
	}
}

// Stop makes Run end. It does not wait, and may be called more than once.
func (r *Reloader) Stop() { r.stop() }

// Ask asks for a reload and does not wait for it. A request that comes while a reload is under way leads to one more.
func (r *Reloader) Ask() {
	select {
	case r.asked <- struct{}{}:
	default: // one is to come anyway, and will read the file as it is then
	}
}

// Reload asks for a reload and waits for it. It returns what changed; or *config.Faults or another error if nothing
// did, ErrStopping, or the error of ctx.
func (r *Reloader) Reload(ctx context.Context) (config.Changes, error) {
	done := make(chan Result, 1)
	r.mu.Lock()
	r.waiters = append(r.waiters, done)
	r.mu.Unlock()
	r.Ask()
	select {
	case result := <-done:
		return result.Changes, result.Err
	case <-r.ended:
		return config.Changes{}, ErrStopping
	case <-ctx.Done():
		return config.Changes{}, ctx.Err()
	}
}

// Last returns what became of the last reload.
func (r *Reloader) Last() Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// LastSuccess returns when the config was read that is in force.
func (r *Reloader) LastSuccess() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.applied
}

func (r *Reloader) keep(result Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = result
	if result.Err == nil {
		r.applied = result.At
	}
}

func (r *Reloader) reload() {
	r.mu.Lock()
	waiters := r.waiters
	r.waiters = nil
	r.mu.Unlock()

	defer r.begin()()
	result := Result{At: time.Now()}
	next, err := r.load()
	if err == nil {
		result.Changes, err = r.apply(next)
	}
	result.Err = err

	r.keep(result)
	r.told.Publish(event(result))
	r.report(result)
	for _, waiter := range waiters {
		waiter <- result
	}
}

// event is what is published of a reload.
func event(result Result) events.Event {
	e := events.Event{Type: events.Reload}
	if result.Err == nil {
		c := result.Changes
		e.Changes = &events.Changes{Added: c.Added, Removed: c.Removed, Changed: c.Changed, Unchanged: c.Unchanged}
		return e
	}
	e.Message = result.Err.Error()
	e.Faults = []events.ConfigFault{{Message: e.Message}} // as in the answer to who has asked for the reload
	if faults := (*config.Faults)(nil); errors.As(result.Err, &faults) {
		e.Faults = make([]events.ConfigFault, len(faults.List))
		for i, fault := range faults.List {
			e.Faults[i] = events.ConfigFault(fault)
		}
	}
	return e
}

// report logs what became of a reload; each fault has a line of its own.
func (r *Reloader) report(result Result) {
	var faults *config.Faults
	switch {
	case result.Err == nil:
		c := result.Changes
		r.log.Info("config reloaded", "added", names(c.Added), "removed", names(c.Removed), "changed", names(c.Changed), "unchanged", len(c.Unchanged))
	case errors.As(result.Err, &faults):
		r.log.Error("config not reloaded: it has faults, and nothing was changed", "file", faults.File, "faults", len(faults.List))
		for _, fault := range faults.List {
			r.log.Error("fault in the config", "line", fault.Line, "column", fault.Column, "key", fault.Key, "error", fault.Message)
		}
	default:
		r.log.Error("config not reloaded, and nothing was changed", "error", result.Err)
	}
}

func names(list []string) string { return strings.Join(list, " ") }
