package watch

import (
	"math"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"serialhub/internal/relay"
)

// Tape has the newest of what has crossed a link, both directions in the order in which the hub has read them. Saw is for one goroutine,
// and never waits; everything else is safe to call from any. A reader that is too slow misses bytes.
//
// The tape is a row of pages in memory that outlives the process. Saw writes into the newest, and uses those again that nobody needs.
type Tape struct {
	file       *file
	scrollback atomic.Int64 // how many of the newest bytes are kept also if nobody reads

	pages  []*page // of the row, oldest first
	unused []*page
	cold   int       // how many of unused, its first, have given their memory back
	slots  int       // how many pages of the file have ever been used
	last   time.Time // of the newest frame
	lost   [2]int    // bytes for which there was no page

	oldest atomic.Pointer[page]
	newest atomic.Pointer[page]
	said   [2]atomic.Uint64 // how much has come from each side

	readers atomic.Pointer[[]*Reader] // replaced, never changed
	closed  atomic.Bool

	mu   sync.Mutex // held to replace readers, and for refs
	refs int        // who uses the mapping: readers, and whoever has not called Close yet
}

// New makes a tape that keeps that many bytes of scrollback, of which there can be MaxScrollback, for a link that some bytes may have crossed already.
func New(said Position, scrollback int) (*Tape, error) {
	f, err := newFile()
	if err != nil {
		return nil, err
	}
	t := newTape(f, scrollback)
	for side := range said {
		t.said[side].Store(said[side])
	}
	t.turn(time.Now().Round(0))
	return t, nil
}

func newTape(f *file, scrollback int) *Tape {
	t := &Tape{file: f, refs: 1}
	t.readers.Store(&[]*Reader{})
	t.Resize(scrollback)
	return t
}

// Resize changes how many bytes of scrollback are kept, from the next page on.
func (t *Tape) Resize(scrollback int) { t.scrollback.Store(int64(min(scrollback, MaxScrollback))) }

// Scrollback is how many bytes of scrollback are kept.
func (t *Tape) Scrollback() int { return int(t.scrollback.Load()) }

// Kept is the descriptor of the tape's memory, which outlives the process if somebody keeps it. It stays the tape's.
func (t *Tape) Kept() int { return t.file.fd }

// Mark notes a place in the tape's memory, for the next process. One goroutine may call it at a time, or Marked.
func (t *Tape) Mark(m Mark) {
	head := t.file.head
	next := 1 + head.marked.Load()%2
	mark := &head.marks[next-1]
	for side := range m.Position {
		mark.position[side].Store(m.Position[side])
	}
	mark.written = m.Written
	head.marked.Store(next)
}

// Unmark forgets the mark.
func (t *Tape) Unmark() { t.file.head.marked.Store(0) }

// Marked is what was marked last, if something was.
func (t *Tape) Marked() (m Mark, ok bool) {
	if m.Position, ok = t.markedPosition(); ok {
		m.Written = t.file.head.marks[t.file.head.marked.Load()-1].written
	}
	return m, ok
}

func (t *Tape) markedPosition() (p Position, ok bool) {
	which := t.file.head.marked.Load()
	if which < 1 || which > 2 {
		return p, false
	}
	for side := range p {
		p[side] = t.file.head.marks[which-1].position[side].Load()
	}
	return p, true
}

// Close lets go of the tape; its readers get what is on it still. Saw is not called any more.
func (t *Tape) Close() {
	t.closed.Store(true)
	for _, r := range *t.readers.Load() {
		r.wake(math.MaxUint64)
	}
	t.unref()
}

func (t *Tape) unref() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refs--; t.refs == 0 {
		t.file.close()
	}
}

// Takes notes that bytes of a side are about to come into a pipe that holds so many; or, with -1, that none have come. It is part of relay.Watcher,
// and called as Saw is.
func (t *Tape) Takes(side relay.Side, held int) {
	take := &t.file.head.takes[side]
	if held >= 0 {
		take.held, take.said = uint64(held), t.said[side].Load()
	}
	take.on.Store(held >= 0)
}

// Unseen is how many of the bytes in a pipe are not on the tape, because the earlier process was killed when it had just taken them.
func (t *Tape) Unseen(side relay.Side, held int) int {
	take := &t.file.head.takes[side]
	if !take.on.Swap(false) {
		return 0
	}
	taken, seen := held-int(take.held), int(t.said[side].Load()-take.said)
	return max(0, taken-seen)
}

// Saw puts on the tape what has come from a side, after some bytes that were missed.
func (t *Tape) Saw(side relay.Side, data []byte, missed int) {
	// The clock on the wall alone: what Go reads beside it stands still while the machine sleeps, and knows nothing of a clock that is set.
	t.saw(time.Now().Round(0), side, data, missed)
	t.Takes(side, -1)
}

// setBack is by how much the clock goes back before a page is begun for the new time; time in a page only goes forward.
const setBack = time.Second

func (t *Tape) saw(now time.Time, side relay.Side, data []byte, missed int) {
	missed += t.lost[side]
	t.lost[side] = 0
	for len(data) > 0 || missed > 0 {
		p := t.newest.Load()
		used := int(p.used.Load())
		if len(p.frames)-used < 2*maxHead || t.last.Sub(now) > setBack {
			if p, used = t.turn(now), 0; p == nil {
				t.lost[side] = len(data) + missed
				return
			}
		}
		some := data[:min(len(data), len(p.frames)-used-maxHead)]
		since := max(now.Sub(t.last), 0).Truncate(time.Microsecond)
		t.last = t.last.Add(since)
		n := putFrame(p.frames[used:], side, since, uint64(missed), some)
		t.said[side].Add(uint64(missed + len(some)))
		p.used.Store(uint32(used + n))
		data, missed = data[len(some):], 0
	}
	newest := t.newest.Load().serial.Load()
	for _, r := range *t.readers.Load() {
		r.wake(newest)
	}
}

// turn begins a new page, or returns nil if readers are copying all that could be used.
func (t *Tape) turn(now time.Time) *page {
	t.retire()
	p := t.take()
	if p == nil {
		return nil
	}
	var serial uint64 = 1
	last := t.newest.Load()
	if last != nil {
		serial = last.serial.Load() + 1
	}
	p.begin(serial, now, t.position())
	t.last = now
	t.pages = append(t.pages, p)
	t.newest.Store(p)
	if last == nil {
		t.oldest.Store(p)
	} else {
		last.next.Store(p)
	}
	return p
}

// position is how much has come from each side.
func (t *Tape) position() Position { return Position{t.said[relay.A].Load(), t.said[relay.B].Load()} }

// sum is how many bytes there are up to a position.
func (p Position) sum() uint64 { return p[relay.A] + p[relay.B] }

// retire gives up the oldest pages that nobody needs, but never the newest.
func (t *Tape) retire() {
	scrollback := t.scrollback.Load()
	bound := int(overhead*scrollback)/pageSize + 2
	needed := t.firstRead()
	gone := 0
	for ; gone < len(t.pages)-1; gone++ {
		left, without := len(t.pages)-gone, t.position().sum()-t.pages[gone+1].before.sum()
		forScrollback := left <= bound && without < uint64(scrollback)
		forReaders := left < bound+roomForReaders/pageSize && t.pages[gone].serial.Load() >= needed
		if forScrollback || forReaders {
			break
		}
	}
	t.release(gone)
}

// firstRead is the serial of the first page that a reader needs, or that has bytes after the mark.
func (t *Tape) firstRead() uint64 {
	first := t.newest.Load()
	if first == nil {
		return 0
	}
	serial := first.serial.Load()
	if mark, ok := t.markedPosition(); ok {
		serial = t.pages[max(0, sort.Search(len(t.pages), func(i int) bool {
			before := t.pages[i].before
			return before[relay.A] > mark[relay.A] || before[relay.B] > mark[relay.B]
		})-1)].serial.Load()
	}
	for _, r := range *t.readers.Load() {
		serial = min(serial, r.needs.Load())
	}
	return serial
}

// release gives up the n oldest pages.
func (t *Tape) release(n int) {
	if n == 0 {
		return
	}
	t.oldest.Store(t.pages[n])
	for _, p := range t.pages[:n] {
		p.serial.Store(0)
		t.unused = append(t.unused, p)
	}
	t.pages = slices.Delete(t.pages, 0, n)
	t.cool()
}

// cool gives the memory of unused pages back, but for some. While somebody reads, it keeps as many as readers can need: the memory would be
// needed again as soon as one of them lags behind, and to give it back and get it anew costs more than to write to it.
func (t *Tape) cool() {
	keep := spare
	if len(*t.readers.Load()) > 0 {
		keep += roomForReaders / pageSize
	}
	for ; len(t.unused)-t.cold > keep && t.unused[t.cold].pins.Load() == 0; t.cold++ {
		t.unused[t.cold].forget()
	}
}

// take finds a page for the row: the one that was given up last, or a new one.
func (t *Tape) take() *page {
	for i := len(t.unused) - 1; i >= 0; i-- {
		if p := t.unused[i]; p.pins.Load() == 0 {
			t.unused = slices.Delete(t.unused, i, i+1)
			if i < t.cold {
				t.cold--
			}
			return p
		}
	}
	if t.slots == maxPages {
		return nil
	}
	t.slots++
	t.file.head.slots.Store(uint32(t.slots))
	return t.file.page(t.slots - 1)
}
