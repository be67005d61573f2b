package watch

import (
	"context"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"serialhub/internal/relay"
)

// Reader reads a tape from some place on. It is for one goroutine, which calls Close when it does not need it any more.
type Reader struct {
	tape  *Tape
	needs atomic.Uint64 // the serial of the page that is read next

	page   *page
	serial uint64    // of page
	read   int       // how much of page
	at     time.Time // of the frame that was read last
	offset Position  // of what is read next

	begun bool     // next is known
	first uint64   // until then: how many bytes of both sides are older than what it begins with
	skip  uint64   // how many bytes are passed over first
	next  Position // what is to be told next
	until Position // where it ends

	most   int // bytes of frames that are copied at once
	copied []byte
	events []Event

	told  time.Time     // when Next has returned something last
	waits atomic.Uint64 // the newest page's serial from which on it is to be woken; 0 if it is not to be
	ready chan struct{} // has room for one
}

// To wake a reader costs the hub as much as to pass a small message on. One that was told something therefore rests before it reads on, so that
// some gathers.
const (
	// restTime is how long it rests.
	restTime = time.Millisecond
	// plenty is how many pages have to come meanwhile to wake it.
	plenty = 8
)

// endless is the end of a reader that has none.
var endless = Position{1<<64 - 1, 1<<64 - 1}

// Now reads what will cross the link from now on.
func (t *Tape) Now() *Reader {
	r := t.newReader()
	r.seek(t.newest.Load)
	r.next, r.begun = t.position(), true // after: what comes in between is passed over, where it would be missed if its page had been
	return r
}

// Last begins with the newest bytes, as many as that, as far as there is scrollback.
func (t *Tape) Last(n int) *Reader {
	r := t.newReader()
	r.first = t.position().sum()
	r.first -= min(r.first, uint64(max(0, min(n, t.Scrollback()))))
	r.seek(t.oldest.Load)
	return r
}

// From goes on at a position. What is not on the tape any more is missed. A position that has not been reached yet is that of another tape: then it
// is as Now.
func (t *Tape) From(p Position) *Reader {
	if said := t.position(); p[relay.A] > said[relay.A] || p[relay.B] > said[relay.B] {
		return t.Now()
	}
	r := t.newReader()
	r.next, r.begun = p, true
	r.seek(t.oldest.Load)
	return r
}

func (t *Tape) newReader() *Reader {
	r := &Reader{tape: t, until: endless, most: roomOfPage, ready: make(chan struct{}, 1)}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refs++
	readers := append(slices.Clone(*t.readers.Load()), r)
	t.readers.Store(&readers)
	return r
}

// Close lets go of the tape.
func (r *Reader) Close() {
	t := r.tape
	t.mu.Lock()
	readers := slices.DeleteFunc(slices.Clone(*t.readers.Load()), func(other *Reader) bool { return other == r })
	t.readers.Store(&readers)
	t.mu.Unlock()
	t.unref()
}

// StopHere has the reader end where the tape ends now.
func (r *Reader) StopHere() { r.until = r.tape.position() }

// TakeMore has Next return up to 64 KiB at once, where it usually is 16: for who does not have to tell them twice if he is killed in between.
func (r *Reader) TakeMore() { r.most = 4 * pageSize }

// Position is up to where Next has told.
func (r *Reader) Position() Position { return r.next }

// Next returns what has crossed the link since, or blocks until something does; for up to a millisecond more if it has returned just now. Data is valid
// until the next call. It returns io.EOF at the end, which is where the tape was closed, and the error of ctx.
func (r *Reader) Next(ctx context.Context) ([]Event, error) {
	if err := r.rest(ctx); err != nil {
		return nil, err
	}
	for {
		closed := r.tape.closed.Load()
		r.events, r.copied = r.events[:0], r.copied[:0]
		more := r.collect()
		for more && len(r.copied) > 0 && len(r.copied)+roomOfPage <= r.most {
			more = r.collect()
		}
		switch {
		case len(r.events) > 0:
			r.told = time.Now()
			return r.events, nil
		case r.next[relay.A] >= r.until[relay.A] && r.next[relay.B] >= r.until[relay.B]:
			return nil, io.EOF
		case more:
			continue
		case closed:
			return nil, io.EOF
		}
		r.waits.Store(r.serial)
		if r.news() {
			r.waits.Store(0)
			continue
		}
		select {
		case <-r.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// rest waits until it is restTime since something was told, or a lot has crossed the link. Who lags behind does not rest, nor who has an end.
func (r *Reader) rest(ctx context.Context) error {
	left := restTime - time.Since(r.told)
	if left <= 0 || r.until != endless || r.page.next.Load() != nil {
		return nil
	}
	r.waits.Store(r.serial + plenty)
	defer r.waits.Store(0)
	if r.tape.closed.Load() || r.tape.newest.Load().serial.Load() >= r.serial+plenty {
		return nil
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-r.ready:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// wake tells the reader that there is something, if it waits for as much: newest is the serial of the newest page.
func (r *Reader) wake(newest uint64) {
	if from := r.waits.Load(); from > 0 && from <= newest && r.waits.CompareAndSwap(from, 0) {
		select {
		case r.ready <- struct{}{}:
		default:
		}
	}
}

// news tells whether there is something to collect.
func (r *Reader) news() bool {
	return r.tape.closed.Load() || r.page.next.Load() != nil || int(r.page.used.Load()) > r.read || r.page.serial.Load() != r.serial
}

// seek goes to the start of a page, which may be given up at any moment.
func (r *Reader) seek(find func() *page) {
	for {
		r.page = find()
		r.serial = r.page.serial.Load()
		r.needs.Store(r.serial)
		if r.serial != 0 && r.page.pin(r.serial) {
			r.page.unpin()
			r.read = 0
			return
		}
	}
}

// collect reads what is left of the page. It tells whether there is another one.
func (r *Reader) collect() (more bool) {
	if !r.page.pin(r.serial) {
		r.seek(r.tape.oldest.Load)
		return true
	}
	if r.read == 0 {
		r.at, r.offset = time.Unix(0, r.page.begun), r.page.before
	}
	next := r.page.next.Load() // before used, which does not change any more if there is a next page
	used := int(r.page.used.Load())
	before := len(r.copied)
	r.copied = append(r.copied, r.page.frames[r.read:used]...) // what events point to stays where it was, also if copied moves
	r.page.unpin()
	frames := r.copied[before:]
	if !r.begun {
		r.begun, r.next = true, r.offset
		r.skip = max(r.first, r.offset.sum()) - r.offset.sum()
	}
	for {
		frame, rest, ok := nextFrame(frames)
		if !ok {
			break
		}
		frames = rest
		r.take(frame)
	}
	r.read = used
	if next != nil {
		r.page, r.serial, r.read = next, r.serial+1, 0
		r.needs.Store(r.serial)
	}
	return next != nil
}

// take makes an event of a frame, or of the part of it that is to be told.
func (r *Reader) take(f frame) {
	r.at = r.at.Add(f.since)
	start := r.offset[f.side] + f.missed
	end := start + uint64(len(f.data))
	r.offset[f.side] = end
	if skipped := min(r.skip, f.missed); skipped > 0 {
		r.skip -= skipped
		r.next[f.side] = start
	}
	if skipped := min(r.skip, uint64(len(f.data))); skipped > 0 {
		r.skip -= skipped
		r.next[f.side] = start + skipped
	}
	next, end := r.next[f.side], min(end, r.until[f.side])
	if end <= next {
		return
	}
	from := max(start, next)
	if from > end { // it ends among bytes that were missed
		from = end
	}
	e := Event{From: f.side, At: r.at, Missed: from - next, Offset: from}
	if from < end {
		e.Data = f.data[from-start : end-start]
	}
	r.next[f.side] = end
	r.events = append(r.events, e)
}
