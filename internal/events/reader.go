package events

import "errors"

// ErrBehind says that a reader was too slow: the log does not have any more what comes next for it.
var ErrBehind = errors.New("it reads too slowly; some of what happened is not known any more")

// Reader reads a log, from its place in it on. It holds nothing of it, so it need not be closed. It is for one goroutine.
type Reader struct {
	log  *Log
	next uint64
}

// Now begins to read with what comes next.
func (l *Log) Now() *Reader {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &Reader{l, l.next}
}

// After begins to read after the event of that ID. If something is not known any more that came after it, or the log knows nothing of the ID, missed is true, and the
// reader begins with the oldest that is known.
func (l *Log) After(last string) (r *Reader, missed bool) {
	start, number, ok := parseID(last)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !ok || start != l.start || number >= l.next || number+1 < l.first {
		return &Reader{l, l.first}, true
	}
	return &Reader{l, number + 1}, false
}

// Take fills into with what comes next, as far as it has happened and there is room, and returns that part of it. If nothing has, more is closed as soon as something does; else it is nil.
// It does not wait. It returns ErrBehind if the reader has lost its place.
func (r *Reader) Take(into []*Entry) (taken []*Entry, more <-chan struct{}, err error) {
	l := r.log
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case r.next < l.first:
		return nil, nil, ErrBehind
	case r.next == l.next:
		if l.more == nil {
			l.more = make(chan struct{})
		}
		return nil, l.more, nil
	}
	n := min(l.next-r.next, uint64(len(into)))
	for i := range n {
		into[i] = *l.at(r.next + i)
	}
	r.next += n
	return into[:n], nil, nil
}

// Position is the ID of the event that the reader has taken last, or of the one before the first that it will take.
func (r *Reader) Position() string { return id(r.log.start, r.next-1) }
