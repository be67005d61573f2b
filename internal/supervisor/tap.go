package supervisor

import (
	"fmt"
	"sync"

	"serialhub/internal/relay"
	"serialhub/internal/watch"
)

// watching is who watches a link, and the tape for them. There is a tape only while there is somebody to read it, or scrollback to keep.
// Its methods are safe to call from any goroutine.
type watching struct {
	counters *[2]relay.Counters // the link's

	mu     sync.Mutex
	wire   *relay.Link // nil while the link does not live
	tape   *watch.Tape // nil if nobody watches
	keeps  bool        // there is a tape also without readers
	taps   int
	closed bool
}

// first is who watches a wire from its beginning, when it takes over what was left; nil if nobody does. That is only what stays as long as the wire: readers come
// once it is connected.
func (w *watching) first() relay.Watcher {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tape == nil || !w.keeps {
		return nil
	}
	return w.tape
}

// connect has the tape see what crosses a wire from now on; nil for none.
func (w *watching) connect(wire *relay.Link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wire = wire
	if wire != nil && w.tape != nil {
		wire.Watch(w.tape)
	}
}

// adopt takes over the tape of an earlier process, before anything else.
func (w *watching) adopt(fd int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	tape, err := watch.Adopt(fd, 0)
	if err != nil {
		return fmt.Errorf("the memory for watchers cannot be taken over: %w", err)
	}
	w.tape = tape
	return nil
}

// configure makes or ends the tape that is there without readers.
func (w *watching) configure(scrollback int, keeps bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keeps = keeps
	if w.tape != nil {
		w.tape.Resize(scrollback)
	} else if keeps {
		return w.begin(scrollback)
	}
	w.end()
	return nil
}

// begin makes a tape. The caller holds mu.
func (w *watching) begin(scrollback int) error {
	said := watch.Position{w.counters[relay.A].Received.Load(), w.counters[relay.B].Received.Load()}
	tape, err := watch.New(said, scrollback)
	if err != nil {
		return fmt.Errorf("there is no memory for watchers: %w", err)
	}
	w.tape = tape
	if w.wire != nil {
		w.wire.Watch(tape)
	}
	return nil
}

// end gives up a tape that nobody needs. The caller holds mu.
func (w *watching) end() {
	if w.tape == nil || w.keeps || w.taps > 0 {
		return
	}
	if w.wire != nil {
		w.wire.Watch(nil)
	}
	w.tape.Close()
	w.tape = nil
}

// close ends the tape; who reads it gets what is on it still. The wire has ended.
func (w *watching) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed, w.keeps = true, false
	if w.tape != nil {
		w.tape.Close()
		w.tape = nil
	}
}

// open begins to read the tape.
func (w *watching) open(start func(*watch.Tape) *watch.Reader) (*Tap, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, ErrNoLink
	}
	if w.tape == nil {
		if err := w.begin(0); err != nil {
			return nil, err
		}
	}
	w.taps++
	reader := start(w.tape)
	return &Tap{reader, sync.OnceFunc(func() {
		reader.Close()
		w.release()
	})}, nil
}

func (w *watching) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taps--
	if !w.closed {
		w.end()
	}
}

// Tap reads what crosses a link. Close ends it.
type Tap struct {
	*watch.Reader
	release func()
}

// Close lets go of the link. It may be called more than once.
func (t *Tap) Close() { t.release() }

// Tap begins to watch a link, where start says: see the methods of watch.Tape. It returns ErrNoLink if there is none.
func (s *Supervisor) Tap(name string, start func(*watch.Tape) *watch.Reader) (*Tap, error) {
	l, err := s.find(name)
	if err != nil {
		return nil, err
	}
	tap, err := l.watching.open(start)
	if err != nil {
		return nil, fmt.Errorf("link %s: %w", name, err)
	}
	return tap, nil
}
