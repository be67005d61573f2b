package watch_test

import (
	"bytes"
	"testing"

	"serialhub/internal/relay"
	"serialhub/internal/watch"
)

// What a reader has been told of stays on the tape until it is marked, so that the next process can read it again.
func TestUnmarkedStays(t *testing.T) {
	tape := tape(t, 0)
	reader := tape.Now()
	defer reader.Close()
	tape.Mark(watch.Mark{Position: reader.Position()})
	mark := reader.Position()
	said := bytes.Repeat([]byte("0123456789abcde\n"), 16384)
	for n := 0; n < len(said); n += 512 {
		tape.Saw(relay.A, said[n:n+512], 0)
		for reader.Position()[relay.A] < uint64(n+512) {
			if _, err := reader.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	again := tape.From(mark)
	again.StopHere()
	if h := read(t, again); !bytes.Equal(h.sides[relay.A], said) {
		t.Errorf("%d of %d bytes, %d missed", len(h.sides[relay.A]), len(said), h.missed[relay.A])
	}
	tape.Mark(watch.Mark{Position: reader.Position()})
	tape.Saw(relay.A, said[:64<<10], 0)
	again = tape.From(mark)
	again.StopHere()
	if h := read(t, again); h.missed[relay.A] == 0 {
		t.Error("what is marked stays")
	}
}

// A process that is killed has taken bytes into a pipe, and perhaps not put them on the tape: the next one finds out how many.
func TestUnseen(t *testing.T) {
	for _, test := range []struct {
		name        string
		held, taken int // what a pipe held before, and how much was taken into it
		seen        bool
		left        int // what it holds then
		want        int
	}{
		{"nothing was taken", 0, 0, false, 0, 0},
		{"it was killed before it could see anything", 0, 100, false, 100, 100},
		{"the pipe was not empty", 50, 100, false, 150, 100},
		{"it has seen all", 50, 100, true, 150, 0},
		{"some of it has moved on", 0, 100, true, 30, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			tape := tape(t, 1<<10)
			tape.Saw(relay.B, []byte("before"), 0)
			tape.Takes(relay.B, test.held)
			if test.seen {
				tape.Saw(relay.B, make([]byte, test.taken), 0)
			}
			next := adopt(t, tape)
			defer next.Close()
			for _, want := range []int{test.want, 0} { // it is told once
				if got := next.Unseen(relay.B, test.left); got != want {
					t.Errorf("%d bytes were not seen; want %d", got, want)
				}
			}
		})
	}
}
