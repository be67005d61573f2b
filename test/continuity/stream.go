package continuity

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"math/rand/v2"
	"time"
)

// stream is what one peer sends to the other: random bytes that follow from a seed, in writes of 1 byte to 70 KB.
type stream struct {
	from, to conn
	seed     byte
	size     int64
	received func(n int) // is called for each piece that arrives, if it is set

	sent, got  [sha256.Size]byte
	standstill time.Duration // the longest time without a byte while it was received
}

const largestWrite = 70_000

func (s *stream) bytes() *rand.ChaCha8 { return rand.NewChaCha8([32]byte{s.seed}) }

// send sends everything.
func (s *stream) send() error {
	data, sizes, sum := s.bytes(), rand.New(rand.NewPCG(uint64(s.seed), 1)), sha256.New()
	buffer := make([]byte, largestWrite)
	for left := s.size; left > 0; {
		largest := min(1<<sizes.IntN(18), largestWrite) // small writes are as frequent as large ones
		piece := buffer[:min(int64(1+sizes.IntN(largest)), left)]
		data.Read(piece)
		sum.Write(piece)
		s.from.SetWriteDeadline(time.Now().Add(patience))
		if _, err := s.from.Write(piece); err != nil {
			return fmt.Errorf("after %d bytes: %w", s.size-left, err)
		}
		left -= int64(len(piece))
	}
	s.sent = sumOf(sum)
	return nil
}

// receive receives everything, and says at once where it is not what was sent.
func (s *stream) receive() error {
	data, sum := s.bytes(), sha256.New()
	got, want := make([]byte, 64<<10), make([]byte, 64<<10)
	last := time.Now()
	for left := s.size; left > 0; {
		s.to.SetReadDeadline(time.Now().Add(patience))
		n, err := s.to.Read(got[:min(int64(len(got)), left)])
		if err != nil {
			return fmt.Errorf("%d of %d bytes arrived: %w", s.size-left, s.size, err)
		}
		s.standstill = max(s.standstill, time.Since(last))
		sum.Write(got[:n])
		data.Read(want[:n])
		if !bytes.Equal(got[:n], want[:n]) {
			return s.fault(s.size-left, got[:n], want[:n])
		}
		left -= int64(n)
		if s.received != nil {
			s.received(n)
		}
		last = time.Now()
	}
	s.got = sumOf(sum)
	return nil
}

// fault says what has arrived instead of what was sent at some offset.
func (s *stream) fault(offset int64, got, want []byte) error {
	i := 0
	for got[i] == want[i] {
		i++
	}
	at, sample := offset+int64(i), got[i:min(i+16, len(got))]
	const window = 8 << 20
	around := make([]byte, min(at+window, s.size))
	s.bytes().Read(around)
	begin := max(0, at-window)
	if found := bytes.Index(around[begin:], sample); len(sample) >= 8 && found >= 0 {
		if is := begin + int64(found); is > at {
			return fmt.Errorf("%d bytes are lost at offset %d", is-at, at)
		} else if is < at {
			return fmt.Errorf("at offset %d comes again what was %d bytes before", at, at-is)
		}
	}
	return fmt.Errorf("at offset %d come bytes that nobody has sent: %x", at, sample)
}

// check compares what was sent and received.
func (s *stream) check() error {
	if s.sent != s.got {
		return errors.New("the hashes differ")
	}
	return nil
}

func sumOf(h hash.Hash) [sha256.Size]byte { return [sha256.Size]byte(h.Sum(nil)) }
