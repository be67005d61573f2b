// Package transcript writes what crosses a link into files, and begins new ones when they are large, when a day is over, and when somebody else has
// moved them away.
package transcript

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"serialhub/internal/relay"
	"serialhub/internal/render"
	"serialhub/internal/watch"
)

// Config says what is written, and where.
type Config struct {
	Path       string        // with {link}, {end} and {date}; with {end} there is a file for each end
	Format     render.Format // what the files look like
	Sides      []relay.Side  // whose bytes are written
	Timestamps bool          // for text
	MaxSize    int64         // of a file, in bytes; 0: none. Only what came at once and is larger makes a file larger
	MaxAge     time.Duration // of files that are complete; 0: none. It counts in days, and a part of one is one
	Keep       int           // how many files that are complete are kept; 0: all
	Compress   string        // what becomes of files that are complete: none, gzip or zstd
}

// Deps are what a transcript has to do with. All of them are called by Run alone.
type Deps struct {
	Reader *watch.Reader    // it is closed by whoever has made it, when Run has returned
	Mark   func(watch.Mark) // up to there everything is in the files
	Left   watch.Mark       // where the reader begins, if an earlier process has written up to there
	Done   func()           // nothing is read and written any more; what is complete may still be compressed. It may be nil
	Report func(error)      // a StoppedError after each attempt that failed; nil when one succeeds then
	Log    *slog.Logger     // what goes wrong with files that are complete
}

// StoppedError says why nothing is written for now.
type StoppedError struct {
	Err   error         // what failed, and on which file
	Retry time.Duration // until the next attempt
}

func (e *StoppedError) Error() string {
	return fmt.Sprintf("transcript stopped: %v; tried again in %v", e.Err, e.Retry.Round(100*time.Millisecond))
}

func (e *StoppedError) Unwrap() error { return e.Err }

// Transcript writes the files of one link.
type Transcript struct {
	deps    Deps
	outputs []*output
	patient patience
	marked  watch.Position // up to there everything is in the files

	mu    sync.Mutex
	moved bool   // Reopen was called, and nobody has looked at the files since
	retry bool   // Reopen was called, and nothing was tried again since
	wake  func() // ends the wait for something to write, or until what has failed is tried again
}

// New makes a transcript of a link. Nothing happens before Run.
func New(c Config, link string, d Deps) *Transcript {
	t := &Transcript{deps: d}
	for _, sides := range perFile(c) {
		o := newOutput(c, link, sides, d.Log)
		o.done, o.left = d.Reader.Position(), d.Left.Written[len(t.outputs)]
		t.outputs = append(t.outputs, o)
	}
	return t
}

// perFile tells whose bytes are in each file.
func perFile(c Config) [][]relay.Side {
	if !hasEnd(c.Path) {
		return [][]relay.Side{c.Sides}
	}
	var files [][]relay.Side
	for _, side := range c.Sides {
		files = append(files, []relay.Side{side})
	}
	return files
}

// Reopen says that files may have been moved away, as logrotate does: they are let go of, and what is written next goes to new files of their names.
// That would be noticed anyway when something is to be written. What has failed is tried again at once. It may be called from any goroutine.
func (t *Transcript) Reopen() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.moved, t.retry = true, true
	if t.wake != nil {
		t.wake()
	}
}

// ErrHandedOver says, as the cause of the end of a Run's context, that somebody goes on from the mark: lines that are not complete are left to him.
var ErrHandedOver = errors.New("the transcript is handed over")

// errMoved says that Reopen was called.
var errMoved = errors.New("files may have been moved")

// Run writes until the reader ends, or ctx: then it writes what is on the tape still, with lines that are not complete (but see ErrHandedOver), and closes the files. If that
// cannot be written it tries once, and returns the error, if there is anything that is not in the files; the mark says where to go on. It returns when files are compressed, which may
// take a while, but can be cut short by the end of the process at any moment.
//
// The process may be killed at any moment, also between a write and its mark: the next one takes back what the mark does not tell of, and writes it again.
func (t *Transcript) Run(ctx context.Context) error {
	err := t.run(ctx)
	if err != nil && !t.loses(ctx) {
		err = nil
	}
	for _, o := range t.outputs {
		o.leave()
	}
	if t.deps.Done != nil {
		t.deps.Done()
	}
	for _, o := range t.outputs {
		o.old.close()
	}
	return err
}

func (t *Transcript) run(ctx context.Context) error {
	t.mark() // what comes before the first write is written by the next process, if this one is killed
	for _, o := range t.outputs {
		o.enter(time.Now())
	}
	if err := t.begin(ctx); err != nil {
		return err
	}
	reading := ctx
	for {
		events, err := t.next(reading)
		switch {
		case err == nil:
			err = t.write(ctx, events)
		case errors.Is(err, io.EOF) && errors.Is(context.Cause(ctx), ErrHandedOver):
			return nil
		case errors.Is(err, io.EOF):
			return t.each(ctx, (*output).flush)
		case ctx.Err() != nil && reading.Err() != nil:
			t.deps.Reader.StopHere()
			reading = context.WithoutCancel(ctx) // it blocks no more
			err = nil
		case errors.Is(err, errMoved):
			err = t.begin(ctx)
		case errors.Is(err, context.DeadlineExceeded):
			err = t.each(ctx, (*output).flushOverdue)
		}
		if err != nil {
			return err
		}
	}
}

// loses tells whether there is anything after the mark.
func (t *Transcript) loses(ctx context.Context) bool {
	t.deps.Reader.StopHere()
	for {
		if _, err := t.deps.Reader.Next(context.WithoutCancel(ctx)); err != nil { // it does not block
			break
		}
	}
	end := t.deps.Reader.Position()
	for _, o := range t.outputs {
		for _, side := range o.sides {
			if end[side] > t.marked[side] {
				return true
			}
		}
	}
	return false
}

// begin makes sure that the files are those of their names.
func (t *Transcript) begin(ctx context.Context) error {
	for _, o := range t.outputs {
		if err := t.enter(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// enter makes sure that the file is the one of its name. Another one than before is in the mark before anything is written to it.
func (t *Transcript) enter(ctx context.Context, o *output) error {
	before := o.info
	if err := t.insist(ctx, o.begin); err != nil {
		return err
	}
	if o.info != before {
		t.mark()
	}
	return nil
}

// next is what is to be written next; or an error: context.DeadlineExceeded when a line that is not complete has been held back for long enough, or
// errMoved.
func (t *Transcript) next(ctx context.Context) ([]watch.Event, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var first time.Time
	for _, o := range t.outputs {
		if due, ok := o.due(); ok && (first.IsZero() || due.Before(first)) {
			first = due
		}
	}
	if !first.IsZero() {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadline(ctx, first)
		defer stop()
	}
	t.mu.Lock()
	moved := t.moved
	t.moved, t.retry, t.wake = false, false, func() { cancel(errMoved) }
	t.mu.Unlock()
	if moved {
		return nil, errMoved
	}
	events, err := t.deps.Reader.Next(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errMoved) {
		err = errMoved
	}
	return events, err
}

// write has the events written, whatever it takes. They are not valid any more when the reader goes on.
func (t *Transcript) write(ctx context.Context, events []watch.Event) error {
	for _, o := range t.outputs {
		if err := t.enter(ctx, o); err != nil {
			return err
		}
		for _, e := range events {
			if !slices.Contains(o.sides, e.From) {
				continue
			}
			for !o.fits(e) {
				if err := t.insist(ctx, o.write); err != nil {
					return err
				}
				t.mark()
				o.turn(e)
				if err := t.enter(ctx, o); err != nil {
					return err
				}
			}
			o.add(e)
		}
		o.flushOverdue()
		if err := t.insist(ctx, o.write); err != nil {
			return err
		}
	}
	t.mark()
	return nil
}

// each has lines that are not complete written.
func (t *Transcript) each(ctx context.Context, flush func(*output)) error {
	for _, o := range t.outputs {
		if err := t.enter(ctx, o); err != nil {
			return err
		}
		flush(o)
		if err := t.insist(ctx, o.write); err != nil {
			return err
		}
	}
	t.mark()
	return nil
}

// mark tells up to where everything is in the files. Nothing is pending.
func (t *Transcript) mark() {
	m := watch.Mark{Position: t.deps.Reader.Position()}
	for i, o := range t.outputs {
		for _, side := range o.sides {
			m.Position[side] = o.done[side] - uint64(o.renderer.Held()[side])
		}
		m.Written[i] = o.written()
	}
	t.marked = m.Position
	t.deps.Mark(m)
}
