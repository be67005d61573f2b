package events

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxEvents is how many events are kept.
	maxEvents = 4096
	// maxBytes is how much memory they may take, about; the newest is kept in any case.
	maxBytes = 4 << 20
)

// Log takes events, gives each a number that is larger by one than that of the one before, and keeps the newest. Its methods are safe to call from any goroutine.
type Log struct {
	start string // tells the numbers of this log from those of another

	mu    sync.Mutex // held for moments only
	ring  []*Entry   // by number, modulo its length
	first uint64     // the oldest that is kept; next if there is none
	next  uint64     // the number of the next one
	bytes int        // that those which are kept take
	more  chan struct{}
}

// Entry is an event in a log. It is shared by all readers, and never changed.
type Entry struct {
	Event
	start  string
	number uint64
	size   int
	once   sync.Once
	text   []byte
}

// ID names the event among all that there are, also of other hubs.
func (e *Entry) ID() string { return id(e.start, e.number) }

// Text is what write makes of the event. It is made once, for whoever is the first to want it; so all have to want the same.
func (e *Entry) Text(write func(*Entry) []byte) []byte {
	e.once.Do(func() { e.text = write(e) })
	return e.text
}

// NewLog makes a log in which nothing has happened yet.
func NewLog() *Log {
	var start [4]byte
	rand.Read(start[:])
	return newLog(hex.EncodeToString(start[:]), 1)
}

func newLog(start string, next uint64) *Log {
	return &Log{start: start, ring: make([]*Entry, maxEvents), first: next, next: next}
}

// Publish puts an event into the log, and wakes the readers that wait; it waits for none of them. An event without a time is one of now. A nil log takes everything, and keeps nothing.
func (l *Log) Publish(e Event) {
	if l == nil {
		return
	}
	if e.At.IsZero() {
		e.At = time.Now()
	}
	entry := &Entry{Event: e, start: l.start, size: e.size()}
	l.mu.Lock()
	l.put(entry)
	wake := l.more
	l.more = nil
	l.mu.Unlock()
	if wake != nil {
		close(wake)
	}
}

// put gives an entry its number and its place, and forgets what there is no room for any more.
func (l *Log) put(entry *Entry) {
	entry.number = l.next
	if l.next-l.first == maxEvents {
		l.forget()
	}
	for l.first < l.next && l.bytes+entry.size > maxBytes {
		l.forget()
	}
	*l.at(l.next) = entry
	l.next++
	l.bytes += entry.size
}

// forget lets go of the oldest.
func (l *Log) forget() {
	oldest := l.at(l.first)
	l.bytes -= (*oldest).size
	*oldest = nil
	l.first++
}

func (l *Log) at(number uint64) **Entry { return &l.ring[number%maxEvents] }

// History is what a log hands on to the one that takes its place in the next process.
type History struct {
	Start  string  `json:"start"`
	Next   uint64  `json:"next"`   // the number of the event that comes next
	Events []Event `json:"events"` // that are kept; the last has the number before
}

// History is all that the log knows now.
func (l *Log) History() History {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := History{Start: l.start, Next: l.next, Events: make([]Event, 0, l.next-l.first)}
	for number := l.first; number < l.next; number++ {
		h.Events = append(h.Events, (*l.at(number)).Event)
	}
	return h
}

// Restore makes a log that goes on where another has ended; or a new one, if the history is that of none.
func Restore(h History) *Log {
	kept := uint64(len(h.Events))
	if h.Start == "" || h.Next <= kept {
		return NewLog()
	}
	l := newLog(h.Start, h.Next-kept)
	for i := range h.Events {
		l.put(&Entry{Event: h.Events[i], start: l.start, size: h.Events[i].size()})
	}
	return l
}

func id(start string, number uint64) string { return start + "-" + strconv.FormatUint(number, 10) }

// parseID reads what id wrote; ok is false for anything else.
func parseID(text string) (start string, number uint64, ok bool) {
	start, digits, found := strings.Cut(text, "-")
	number, err := strconv.ParseUint(digits, 10, 64)
	return start, number, found && err == nil
}
