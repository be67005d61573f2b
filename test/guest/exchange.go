package guest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"
)

// line is either side of a connection.
type line interface {
	io.ReadWriter
	SetDeadline(time.Time) error
}

// words are bytes of every value, which look random and are the same for the same seed.
func words(seed byte, n int) []byte {
	said := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(said)
	for i := range min(n, 256) {
		said[i] = byte(i)
	}
	return said
}

// wantHeard wants bytes, and just these, next.
func wantHeard(from line, want []byte) error {
	from.SetDeadline(time.Now().Add(patience))
	got := make([]byte, len(want))
	n, err := io.ReadFull(from, got)
	for i := range n {
		if got[i] != want[i] {
			return fmt.Errorf("of %d bytes, the one at %d is wrong: %x… came instead of %x…", len(want), i, got[i:min(i+8, n)], want[i:min(i+8, n)])
		}
	}
	if err != nil {
		return fmt.Errorf("of %d bytes, %d came: %w", len(want), n, err)
	}
	return nil
}

// exchange has each of two say n bytes at the same time, and the other hear them.
func exchange(t *testing.T, a, b line, n int) {
	t.Helper()
	if err := exchanged(a, b, n); err != nil {
		t.Fatal(err)
	}
}

// exchanged is exchange for any goroutine.
func exchanged(a, b line, n int) (err error) {
	results := make(chan error, 4)
	for _, way := range []struct {
		name     string
		from, to line
		said     []byte
	}{{"from a to b", a, b, words('a', n)}, {"from b to a", b, a, words('b', n)}} {
		way.from.SetDeadline(time.Now().Add(patience))
		go func() {
			_, err := io.Copy(way.from, bytes.NewReader(way.said))
			results <- about(way.name, err)
		}()
		go func() { results <- about(way.name, wantHeard(way.to, way.said)) }()
	}
	for range 4 {
		err = errors.Join(err, <-results)
	}
	return err
}

// about says where an error, if it is one, is from.
func about(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
