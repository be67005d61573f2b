package watch

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// errForeign says that a memory file is not one that this program understands.
var errForeign = errors.New("it is of another version of serialhub")

// Adopt takes over a tape that an earlier process has left. It owns the descriptor also if it returns an error.
func Adopt(fd, scrollback int) (*Tape, error) {
	f, err := openFile(fd)
	if err != nil {
		return nil, err
	}
	if f.head.version.Load() != fileVersion || f.head.slots.Load() > maxPages {
		f.close()
		return nil, errForeign
	}
	t := newTape(f, scrollback)
	t.slots = int(f.head.slots.Load())
	t.sort()
	if len(t.pages) == 0 {
		t.turn(time.Now().Round(0))
		return t, nil
	}
	newest := t.pages[len(t.pages)-1]
	said, last := newest.before, time.Unix(0, newest.begun)
	for rest := newest.frames[:newest.used.Load()]; ; {
		frame, after, ok := nextFrame(rest)
		if !ok {
			break
		}
		said[frame.side] += frame.missed + uint64(len(frame.data))
		last, rest = last.Add(frame.since), after
	}
	for side := range said {
		t.said[side].Store(said[side])
	}
	t.last = last
	t.oldest.Store(t.pages[0])
	t.newest.Store(newest)
	return t, nil
}

// sort puts the pages of the file in a row.
func (t *Tape) sort() {
	for slot := range t.slots {
		p := t.file.page(slot)
		if p.serial.Load() == 0 || int(p.used.Load()) > len(p.frames) {
			p.serial.Store(0)
			t.unused = append(t.unused, p)
		} else {
			t.pages = append(t.pages, p)
		}
	}
	slices.SortFunc(t.pages, func(p, q *page) int { return cmp.Compare(p.serial.Load(), q.serial.Load()) })
	for i := len(t.pages) - 1; i > 0; i-- {
		if t.pages[i-1].serial.Load()+1 != t.pages[i].serial.Load() {
			t.release(i) // what is older does not join on
			return
		}
		t.pages[i-1].next.Store(t.pages[i])
	}
}
