package watch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/relay"
	"serialhub/internal/watch"
)

// tape makes a tape that is closed when the test ends.
func tape(t testing.TB, scrollback int) *watch.Tape {
	t.Helper()
	tape, err := watch.New(watch.Position{}, scrollback)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tape.Close)
	return tape
}

// heard is what a reader has told.
type heard struct {
	sides  [2][]byte
	order  []byte // of both
	missed [2]uint64
}

// read reads to the end, and checks that positions are what they say.
func read(t *testing.T, r *watch.Reader) (h heard) {
	t.Helper()
	defer r.Close()
	var next [2]uint64
	known := [2]bool{}
	for {
		events, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return h
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if known[e.From] && next[e.From]+e.Missed != e.Offset {
				t.Fatalf("after %d bytes of %s come %d bytes at %d, %d missed", next[e.From], e.From, len(e.Data), e.Offset, e.Missed)
			}
			next[e.From], known[e.From] = e.Offset+uint64(len(e.Data)), true
			h.sides[e.From] = append(h.sides[e.From], e.Data...)
			h.order = append(h.order, e.Data...)
			h.missed[e.From] += e.Missed
		}
		if got := r.Position(); known[0] && got[0] != next[0] || known[1] && got[1] != next[1] {
			t.Fatalf("the position is %d after %d", got, next)
		}
	}
}

func TestReaders(t *testing.T) {
	type said struct {
		side   relay.Side
		text   string
		missed int
	}
	before := []said{{relay.A, "one", 0}, {relay.B, "two", 0}, {relay.A, "three", 0}}
	after := []said{{relay.B, "four", 0}, {relay.A, "five", 7}, {relay.A, "", 5}, {relay.B, "six", 0}}
	tests := []struct {
		name       string
		scrollback int
		start      func(*watch.Tape) *watch.Reader
		want       string
		missed     [2]uint64
	}{
		{"now", 100, (*watch.Tape).Now, "fourfivesix", [2]uint64{12, 0}},
		{"all of the scrollback", 100, func(t *watch.Tape) *watch.Reader { return t.Last(100) }, "onetwothreefourfivesix", [2]uint64{12, 0}},
		{"more than there is", 4, func(t *watch.Tape) *watch.Reader { return t.Last(100) }, "hreefourfivesix", [2]uint64{12, 0}},
		{"some of it", 100, func(t *watch.Tape) *watch.Reader { return t.Last(7) }, "wothreefourfivesix", [2]uint64{12, 0}},
		{"none of it", 100, func(t *watch.Tape) *watch.Reader { return t.Last(0) }, "fourfivesix", [2]uint64{12, 0}},
		{"no scrollback", 0, func(t *watch.Tape) *watch.Reader { return t.Last(100) }, "fourfivesix", [2]uint64{12, 0}},
		{"a position", 0, func(t *watch.Tape) *watch.Reader { return t.From(watch.Position{4, 3}) }, "hreefourfivesix", [2]uint64{12, 0}},
		{"a position of another tape", 0, func(t *watch.Tape) *watch.Reader { return t.From(watch.Position{16, 7}) }, "fourfivesix", [2]uint64{12, 0}},
		{"only what is there", 100, func(t *watch.Tape) *watch.Reader {
			r := t.Last(100)
			r.StopHere()
			return r
		}, "onetwothree", [2]uint64{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tape, err := watch.New(watch.Position{}, test.scrollback)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range before {
				tape.Saw(s.side, []byte(s.text), s.missed)
			}
			r := test.start(tape)
			for _, s := range after {
				tape.Saw(s.side, []byte(s.text), s.missed)
			}
			tape.Close()
			if got := read(t, r); string(got.order) != test.want || got.missed != test.missed {
				t.Errorf("it reads %q, missed %d; want %q, missed %d", got.order, got.missed, test.want, test.missed)
			}
		})
	}
}

// TestScrollbackIsTheNewest keeps exactly the newest bytes, however they have come.
func TestScrollbackIsTheNewest(t *testing.T) {
	for _, scrollback := range []int{1 << 10, 64 << 10, 300_000} {
		for _, size := range []int{1, 7, 4000, 100_000} {
			t.Run(fmt.Sprintf("%d in pieces of %d", scrollback, size), func(t *testing.T) {
				tape := tape(t, scrollback)
				random := rand.NewChaCha8([32]byte{})
				var all []byte
				for i := 0; len(all) < 3*scrollback+100_000; i++ {
					piece := make([]byte, size)
					random.Read(piece)
					tape.Saw(relay.Side(i%2), piece, 0)
					all = append(all, piece...)
				}
				r := tape.Last(scrollback)
				r.StopHere()
				if got := read(t, r); !bytes.Equal(got.order, all[len(all)-scrollback:]) || got.missed != [2]uint64{} {
					t.Errorf("%d bytes were kept, and they are the newest: %v; missed: %d", len(got.order), bytes.HasSuffix(all, got.order), got.missed)
				}
			})
		}
	}
}

// TestSlowReaderMisses has a reader that lags behind lose the oldest, and be told how much.
func TestSlowReaderMisses(t *testing.T) {
	tape := tape(t, 0)
	slow := tape.Now()
	defer slow.Close()
	var all []byte
	for i := range 3000 {
		piece := fmt.Appendf(nil, "%01000d", i)
		all = append(all, piece...)
		tape.Saw(relay.A, piece, 0)
	}
	slow.StopHere()
	events, err := slow.Next(t.Context())
	if err != nil || len(events) == 0 || events[0].Missed == 0 || events[0].Missed != events[0].Offset {
		t.Fatalf("%d events, first %+v, %v", len(events), events[0].Offset, err)
	}
	var rest []byte
	for _, e := range events {
		rest = append(rest, e.Data...)
	}
	missed := events[0].Missed
	more := read(t, slow)
	rest = append(rest, more.order...)
	if more.missed != [2]uint64{} || !bytes.Equal(rest, all[missed:]) || len(rest) < 1<<20 {
		t.Errorf("missed %d and then %d, read %d of %d", missed, more.missed, len(rest), len(all))
	}
}

// TestReadersBesideTheWriter has readers that start at any time get every byte once, in order, or be told of it.
func TestReadersBesideTheWriter(t *testing.T) {
	tape, err := watch.New(watch.Position{}, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	const size = 20 << 20
	byteAt := func(side relay.Side, i uint64) byte { return byte(i*7 + i>>8*13 + uint64(side)) }
	var readers sync.WaitGroup
	follow := func(r *watch.Reader) {
		defer readers.Done()
		defer r.Close()
		for {
			events, err := r.Next(context.Background())
			if errors.Is(err, io.EOF) {
				return
			}
			for _, e := range events {
				for i, got := range e.Data {
					if want := byteAt(e.From, e.Offset+uint64(i)); got != want {
						t.Errorf("byte %d of %s is %d instead of %d", e.Offset+uint64(i), e.From, got, want)
						return
					}
				}
			}
		}
	}
	var said [2]uint64
	for n := 0; n < size; {
		if rand.IntN(200) == 0 {
			readers.Add(1)
			go follow([]func() *watch.Reader{tape.Now, func() *watch.Reader { return tape.Last(rand.IntN(20_000)) },
				func() *watch.Reader { return tape.From(said) }}[rand.IntN(3)]())
		}
		side, piece := relay.Side(rand.IntN(2)), make([]byte, 1+rand.IntN(1<<rand.IntN(18)))
		for i := range piece {
			piece[i] = byteAt(side, said[side]+uint64(i))
		}
		tape.Saw(side, piece, 0)
		said[side] += uint64(len(piece))
		n += len(piece)
	}
	tape.Close()
	readers.Wait()
}

// TestAdopt takes over a tape as the next process does, at any moment.
func TestAdopt(t *testing.T) {
	tape := tape(t, 50_000)
	var all []byte
	for i := range 2000 {
		piece := make([]byte, rand.IntN(200))
		for j := range piece {
			piece[j] = byte(rand.Int())
		}
		tape.Saw(relay.Side(rand.IntN(2)), piece, 0)
		all = append(all, piece...)
		if i%50 != 0 {
			continue
		}
		mark := watch.Mark{Position: watch.Position{uint64(i), 2}, Written: [2]watch.Written{{Device: 1, Inode: 2, Size: uint64(i)}}}
		tape.Mark(mark)
		next := adopt(t, tape)
		if m, ok := next.Marked(); !ok || m != mark {
			t.Errorf("marked is %d, %v", m, ok)
		}
		want := append(bytes.Clone(all[max(0, len(all)-50_000):]), "and on"...)
		r := next.Last(50_000)
		next.Saw(relay.B, []byte("and on"), 0)
		next.Close()
		if got := read(t, r); !bytes.Equal(got.order, want) || got.missed != [2]uint64{} {
			t.Fatalf("after %d bytes, %d are left, missed %d", len(all), len(got.order), got.missed)
		}
		// The other process has written into the memory of this one: so much for this one's tape.
		tape.Saw(relay.B, []byte("and on"), 0)
		all = append(all, "and on"...)
	}
}

// adopt makes a tape of a copy of another's memory.
func adopt(t *testing.T, of *watch.Tape) *watch.Tape {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Fstat(of.Kept(), &stat); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.MemfdCreate("copy", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Ftruncate(fd, stat.Size); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<20)
	for at := int64(0); ; {
		start, err := unix.Seek(of.Kept(), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n, err := unix.Pread(of.Kept(), buf[:4096], start)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Pwrite(fd, buf[:n], start); err != nil {
			t.Fatal(err)
		}
		at = start + int64(n)
	}
	next, err := watch.Adopt(fd, 50_000)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func TestAdoptRefuses(t *testing.T) {
	for name, size := range map[string]int64{"nothing": 0, "another size": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			fd, err := unix.MemfdCreate("no tape", unix.MFD_CLOEXEC)
			if err != nil {
				t.Fatal(err)
			}
			if err := unix.Ftruncate(fd, size); err != nil {
				t.Fatal(err)
			}
			if tape, err := watch.Adopt(fd, 0); err == nil {
				tape.Close()
				t.Error("it was taken for a tape")
			}
		})
	}
}

// TestNextBlocks waits without working until something comes, the tape is closed or the context ends.
func TestNextBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tape, err := watch.New(watch.Position{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		r := tape.Now()
		defer r.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := r.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it returns %v", err)
		}
		time.AfterFunc(time.Minute, func() { tape.Saw(relay.B, []byte("x"), 0) })
		events, err := r.Next(t.Context())
		if err != nil || len(events) != 1 || string(events[0].Data) != "x" || !events[0].At.Equal(time.Now()) {
			t.Errorf("it returns %+v, %v", events, err)
		}
		time.AfterFunc(time.Minute, tape.Close)
		if _, err := r.Next(t.Context()); !errors.Is(err, io.EOF) {
			t.Errorf("it returns %v", err)
		}
	})
}

// TestReadersRest wakes a reader at once for the first that comes, then for what has gathered, or when there is much of it.
func TestReadersRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tape, err := watch.New(watch.Position{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer tape.Close()
		r := tape.Now()
		defer r.Close()
		next := func(want int, after time.Duration) {
			t.Helper()
			start := time.Now()
			events, err := r.Next(t.Context())
			got := 0
			for _, e := range events {
				got += len(e.Data)
			}
			if err != nil || got < want || time.Since(start) != after {
				t.Errorf("it returns %d bytes, %v after %v; want %d after %v", got, err, time.Since(start), want, after)
			}
		}
		type piece struct {
			after time.Duration
			size  int
		}
		pieces := make(chan piece, 3)
		defer close(pieces)
		go func() {
			for p := range pieces {
				<-time.After(p.after)
				tape.Saw(relay.A, make([]byte, p.size), 0)
			}
		}()
		for range 2 {
			pieces <- piece{time.Minute, 1}
			pieces <- piece{time.Millisecond / 4, 1}
			pieces <- piece{time.Millisecond / 4, 1}
			next(1, time.Minute)
			next(2, time.Millisecond)
		}
		pieces <- piece{time.Millisecond / 4, 256 << 10}
		next(1, time.Millisecond/4)
		r.TakeMore()
		next(32<<10, 0)
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond/4)
		defer cancel()
		for err == nil {
			_, err = r.Next(short)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it returns %v", err)
		}
	})
}

// TestMemoryIsBounded looks at how much memory a tape takes after a lot has crossed it.
func TestMemoryIsBounded(t *testing.T) {
	tests := []struct {
		name       string
		scrollback int
		piece      int
		reader     bool
		leaves     bool
		most       int64
	}{
		{"scrollback", 64 << 10, 1000, false, false, 128 << 10},
		{"scrollback of single bytes", 64 << 10, 1, false, false, 6 * 64 << 10},
		{"a reader that does not read", 0, 1000, true, false, 1<<20 + 256<<10},
		{"a reader that did not read", 64 << 10, 1000, true, true, 256 << 10},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tape := tape(t, test.scrollback)
			var r *watch.Reader
			if test.reader {
				r = tape.Now()
			}
			for i := range 8 << 20 / test.piece {
				if i == 4<<20/test.piece && test.leaves {
					r.Close()
				}
				tape.Saw(relay.Side(i%2), make([]byte, test.piece), 0)
			}
			var stat unix.Stat_t
			if err := unix.Fstat(tape.Kept(), &stat); err != nil {
				t.Fatal(err)
			}
			if got := stat.Blocks * 512; got > test.most {
				t.Errorf("it takes %d bytes, more than %d", got, test.most)
			}
			if test.reader && !test.leaves {
				r.Close()
			}
		})
	}
}
