package supervisor

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"serialhub/internal/config"
	"serialhub/internal/relay"
	"serialhub/internal/render"
	"serialhub/internal/transcript"
	"serialhub/internal/watch"
)

// Transcript is what is known about a link's transcript.
type Transcript struct {
	File  string    // with {end} and {date}, where it has them
	Since time.Time // when it began to be written, or to fail
	Err   string    // why nothing is written; "" if it is
}

// scribe writes the transcript of a link. It begins and ends on the link's goroutine; pause, resume and reopen may be called from any.
type scribe struct {
	link *link

	mu      sync.Mutex
	of      *config.Link // whose transcript is written; nil if none is
	paused  bool
	running *transcript.Transcript // nil while it is paused
	stop    context.CancelCauseFunc
	stopped chan struct{} // closed when nothing is written any more
	tidied  chan struct{} // closed when files that are complete are compressed, too; nil if nothing ever was
}

// errUnwanted says that the config has no use for a transcript any more.
var errUnwanted = errors.New("there is to be no transcript")

// lastWords is how long a transcript has to write what is there when it ends.
const lastWords = time.Second

// write has the transcript be what the config says; there is none while the link does not run because it is disabled.
func (s *scribe) write(c *config.Link, rests bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of != nil && !rests && sameTranscript(s.of, c) {
		return
	}
	if s.of != nil {
		s.halt(errUnwanted)
	}
	s.of = nil
	if rests || c.Transcript == nil {
		s.link.watching.unmark()
		s.link.report(nil)
		return
	}
	s.of = c
	if !s.paused {
		s.begin()
	}
}

// end ends it for good.
func (s *scribe) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.halt(errUnwanted)
	s.of = nil
	if s.tidied == nil {
		return
	}
	select {
	case <-s.tidied:
	case <-time.After(lastWords): // the next process goes on with it
	}
}

func sameTranscript(one, other *config.Link) bool {
	return other.Transcript != nil && one.Name == other.Name && *one.Transcript == *other.Transcript
}

// begin begins to write, or goes on; after one that has not ended in time, once it has: two would spoil each other's files. The caller holds mu.
func (s *scribe) begin() {
	l, c := s.link, s.of.Transcript
	file := strings.ReplaceAll(c.File, "{link}", s.of.Name)
	if s.writes() {
		l.report(&Transcript{File: file, Since: time.Now(), Err: "the transcript before this one is still being written"})
		go s.beginAfter(s.stopped)
		return
	}
	var left watch.Mark
	tap, err := l.watching.open(func(tape *watch.Tape) *watch.Reader {
		if mark, ok := tape.Marked(); ok {
			left = mark
			return tape.From(mark.Position)
		}
		r := tape.Now()
		tape.Mark(watch.Mark{Position: r.Position()})
		return r
	})
	if err != nil {
		l.log().Error("there is no transcript", "file", file, "error", err)
		l.report(&Transcript{File: file, Since: time.Now(), Err: err.Error()})
		return
	}
	l.report(&Transcript{File: file, Since: time.Now()})
	stopped := make(chan struct{})
	writer := transcript.New(transcript.Config{
		Path: c.File, Format: render.Format(c.Format), Sides: sidesOf(c.Direction), Timestamps: c.Timestamps,
		MaxSize: c.MaxSize, MaxAge: c.MaxAge, Keep: c.Keep, Compress: c.Compress,
	}, s.of.Name, transcript.Deps{
		Reader: tap.Reader,
		Done: func() {
			tap.Close()
			close(stopped)
		},
		Left:   left,
		Mark:   l.watching.mark,
		Report: func(err error) { l.reportWriting(file, err) },
		Log:    l.log(),
	})
	ctx, stop := context.WithCancelCause(context.Background())
	before, tidied := s.tidied, make(chan struct{})
	s.running, s.stop, s.stopped, s.tidied = writer, stop, stopped, tidied
	go func() {
		defer close(tidied)
		if before != nil {
			select {
			case <-before: // which may be compressing the same files still
			case <-ctx.Done():
			}
		}
		if err := writer.Run(ctx); err != nil && !errors.Is(context.Cause(ctx), transcript.ErrHandedOver) {
			l.log().Error("the transcript is not whole", "file", file, "error", err)
		}
	}()
}

// writes tells whether something is written still.
func (s *scribe) writes() bool {
	if s.stopped == nil {
		return false
	}
	select {
	case <-s.stopped:
		return false
	default:
		return true
	}
}

// beginAfter begins when the last one has ended, if there is to be a transcript then.
func (s *scribe) beginAfter(last <-chan struct{}) {
	<-last
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of != nil && !s.paused && s.running == nil {
		s.begin()
	}
}

func sidesOf(direction string) []relay.Side {
	switch direction {
	case relay.A.String():
		return []relay.Side{relay.A}
	case relay.B.String():
		return []relay.Side{relay.B}
	default:
		return bothSides()
	}
}

// halt stops writing, and waits until that is done, but not for a disk that hangs, nor until what is complete is compressed. The caller holds mu.
func (s *scribe) halt(why error) {
	if s.running == nil {
		return
	}
	s.stop(why)
	select {
	case <-s.stopped:
	case <-time.After(lastWords):
		s.link.log().Warn("the transcript does not end in time; its disk may hang")
	}
	s.running = nil
}

// pause stops writing, between two writes, until resume is called; or for ever, because the next process goes on.
func (s *scribe) pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = true
	s.halt(transcript.ErrHandedOver)
}

func (s *scribe) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = false
	if s.of != nil {
		s.begin()
	}
}

// reopen has the transcript go to a new file if somebody has moved the one that is written.
func (s *scribe) reopen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		s.running.Reopen()
	}
}

// report makes known how the transcript does; nil if there is none.
func (l *link) report(t *Transcript) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Transcript = t
}

// reportWriting makes known that the transcript has failed to be written or, with nil, that it is written again.
func (l *link) reportWriting(file string, err error) {
	now := Transcript{File: file, Since: time.Now()}
	l.mu.Lock()
	was := l.status.Transcript
	if err != nil {
		now.Err = err.Error()
		if cause := (*transcript.StoppedError)(nil); errors.As(err, &cause) {
			now.Err = cause.Err.Error() // when it is tried again is another time by then
		}
	}
	failed := was != nil && was.Err != ""
	if failed == (err != nil) && was != nil {
		now.Since = was.Since
	}
	l.status.Transcript = &now
	l.mu.Unlock()
	switch {
	case err == nil:
		l.log().Info("the transcript is written again", "file", file)
	case failed:
		l.log().Debug("the transcript still cannot be written", "file", file, "error", err)
	default:
		l.log().Error("the transcript cannot be written; the link goes on", "file", file, "error", err)
	}
}

// pauseTranscripts has all transcripts stop between two writes, all at once, and returns what lets them go on.
func (s *Supervisor) pauseTranscripts() (resume func()) {
	s.mu.Lock()
	links := s.links
	s.mu.Unlock()
	var all sync.WaitGroup
	for _, l := range links {
		all.Go(l.scribe.pause)
	}
	all.Wait()
	return func() {
		for _, l := range links {
			l.scribe.resume()
		}
	}
}

// mark notes up to where the transcript is written.
func (w *watching) mark(m watch.Mark) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tape != nil {
		w.tape.Mark(m)
	}
}

func (w *watching) unmark() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tape != nil {
		w.tape.Unmark()
	}
}

// reopenTranscripts has all transcripts go to new files where somebody has moved those that are written, as logrotate does.
func (s *Supervisor) reopenTranscripts() {
	s.mu.Lock()
	links := s.links
	s.mu.Unlock()
	for _, l := range links {
		l.scribe.reopen()
	}
}
