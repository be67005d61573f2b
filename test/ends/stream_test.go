package ends

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// stream is bytes that look random, and are the same for the same seed, so that whoever reads them knows what should come next.
type stream struct{ source *rand.ChaCha8 }

func newStream(seed uint64) *stream {
	var key [32]byte
	binary.NativeEndian.PutUint64(key[:], seed)
	return &stream{rand.NewChaCha8(key)}
}

func (s *stream) next(buf []byte) []byte {
	s.source.Read(buf) // never fails
	return buf
}

// largestWrite is more than a pipe or a socket's segment takes at once.
const largestWrite = 70_000

// writeSize is a size of a write: often a very small one.
func writeSize(dice *rand.Rand) int {
	switch dice.IntN(4) {
	case 0:
		return 1
	case 1:
		return 1 + dice.IntN(100)
	case 2:
		return 1 + dice.IntN(5000)
	default:
		return 1 + dice.IntN(largestWrite)
	}
}

// say writes n bytes of a stream, in writes of many sizes.
func say(w io.Writer, s *stream, n int) error {
	dice := rand.New(rand.NewPCG(uint64(n), 1))
	buf := make([]byte, largestWrite)
	for said := 0; said < n; {
		size := min(writeSize(dice), n-said)
		wrote, err := w.Write(s.next(buf[:size]))
		said += wrote
		if err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", said, n, err)
		}
	}
	return nil
}

// hear reads n bytes, and compares them with a stream.
func hear(r io.Reader, s *stream, n int) error {
	got, want := make([]byte, 32<<10), make([]byte, 32<<10)
	for heard := 0; heard < n; {
		size, err := r.Read(got[:min(len(got), n-heard)])
		if at := mismatch(got[:size], s.next(want[:size])); at >= 0 {
			return fmt.Errorf("byte %d of %d is not the one that was sent: got % x…, want % x…", heard+at, n, clip(got[at:size]), clip(want[at:size]))
		}
		heard += size
		if err != nil && heard < n {
			return fmt.Errorf("after %d of %d bytes: %w", heard, n, err)
		}
	}
	return nil
}

// hearAll reads until the other side has closed, compares what comes with a stream, and returns how much it was.
func hearAll(r io.Reader, s *stream) (heard int, err error) {
	got, want := make([]byte, 32<<10), make([]byte, 32<<10)
	for {
		size, err := r.Read(got)
		if at := mismatch(got[:size], s.next(want[:size])); at >= 0 {
			return heard, fmt.Errorf("byte %d is not the one that was sent: got % x…, want % x…", heard+at, clip(got[at:size]), clip(want[at:size]))
		}
		heard += size
		if err != nil {
			if isGone(err) {
				err = nil
			}
			return heard, err
		}
	}
}

func mismatch(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

func clip(b []byte) []byte { return b[:min(len(b), 8)] }

// carry has one peer say something, and the other hear just that next.
func carry(t *testing.T, what string, from, to peer, text string) {
	t.Helper()
	to.SetDeadline(time.Now().Add(patience))
	from.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(from, text); err != nil {
		t.Fatalf("%s: cannot say %q: %v", what, text, err)
	}
	got := make([]byte, len(text))
	if n, err := io.ReadFull(to, got); err != nil || string(got) != text {
		t.Fatalf("%s: got %q, %v; want %q", what, got[:n], err, text)
	}
}

// talker says a stream until it is told to finish, and counts.
type talker struct {
	said   atomic.Int64
	finish atomic.Bool
	done   chan error
}

func talk(w io.Writer, s *stream) *talker {
	t := &talker{done: make(chan error, 1)}
	go func() {
		buf := make([]byte, 16<<10)
		for !t.finish.Load() {
			n, err := w.Write(s.next(buf))
			t.said.Add(int64(n))
			if err != nil {
				t.done <- err
				return
			}
		}
		t.done <- nil
	}()
	return t
}

// errTooMuch says that nothing has held a talker back.
var errTooMuch = errors.New("it is not held back")

// quiet is how long nothing moves before it counts as stuck.
const quiet = 200 * time.Millisecond

// waitStuck waits until the talker is held back, and returns how much it has said; or errTooMuch, once that is more than limit.
func (t *talker) waitStuck(limit int64) (int64, error) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	said, since := t.said.Load(), time.Now()
	for {
		select {
		case <-tick.C:
		case err := <-t.done:
			return said, fmt.Errorf("it has stopped talking: %w", err)
		case <-deadline:
			return said, errTooMuch
		}
		switch now := t.said.Load(); {
		case now > limit:
			return now, errTooMuch
		case now != said:
			said, since = now, time.Now()
		case said > 0 && time.Since(since) >= quiet:
			return said, nil
		}
	}
}

// together does several things at the same time, and returns what has gone wrong.
func together(do ...func() error) error {
	errs := make([]error, len(do))
	var group sync.WaitGroup
	for i, one := range do {
		group.Go(func() { errs[i] = one() })
	}
	group.Wait()
	return errors.Join(errs...)
}

// whatFailed adds to an error what has failed.
func whatFailed(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
