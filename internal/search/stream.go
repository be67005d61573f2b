package search

import (
	"sync"
	"time"
)

const (
	// pause is how long bytes gather before they are searched. A search of the window takes some milliseconds, so a guest that speaks
	// byte by byte costs some percent of a processor.
	pause = 50 * time.Millisecond
	// most is how many bytes are gathered.
	most = Window
)

// Stream feeds a Finder with what is written to it, not each byte for itself but what comes within 50 ms. It is safe for use by many
// goroutines.
type Stream struct {
	found func()

	mu      sync.Mutex
	finder  Finder
	pending []byte
	timer   *time.Timer // nil while nothing is pending
	done    bool
}

// NewStream makes a stream that calls found, once and from any goroutine, when the finder has found something. The finder is the
// stream's from then on.
func NewStream(finder Finder, found func()) *Stream { return &Stream{finder: finder, found: found} }

// Write takes the next bytes of the stream. It never fails.
func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = append(s.pending, p...)
	switch {
	case len(s.pending) >= most:
		s.search()
	case s.timer == nil:
		s.timer = time.AfterFunc(pause, s.Flush)
	}
	return len(p), nil
}

// Flush searches what was written.
func (s *Stream) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.search()
}

// Reset searches what was written, and then begins afresh: what comes next does not follow upon it.
func (s *Stream) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.search()
	s.finder.Reset()
}

func (s *Stream) search() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if !s.done && s.finder.Feed(s.pending) {
		s.done = true
		s.found()
	}
	s.pending = s.pending[:0]
}
