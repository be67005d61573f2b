package systemd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"
)

const (
	blockSize = 4 << 10
	// inTransit is more than what can be on its way without a hub that moves it: two sockets and a pipe.
	inTransit = 4 << 20
)

// stream is what one peer says to another without a pause, block after block. Every byte of it is compared.
type stream struct {
	from, to peer
	came     atomic.Int64 // bytes that have come, and were right
	last     atomic.Bool  // the next block is the last one
	ended    chan error   // how the sender, and the receiver, ended
}

// startStream starts to send; finish ends it.
func startStream(from, to peer) *stream {
	s := &stream{from: from, to: to, ended: make(chan error, 2)}
	go func() { s.ended <- s.send() }()
	go func() { s.ended <- s.receive() }()
	return s
}

// startStreams starts one stream each way.
func startStreams(a, b peer) (streams [2]*stream) {
	return [2]*stream{startStream(a, b), startStream(b, a)}
}

// send sends blocks. The first byte of one tells whether it is the last, the others are random.
func (s *stream) send() error {
	random, block := rand.NewChaCha8([32]byte{}), make([]byte, blockSize)
	for {
		last := s.last.Load()
		random.Read(block)
		block[0] = 0
		if last {
			block[0] = 1
		}
		if _, err := s.from.Write(block); err != nil {
			return fmt.Errorf("sending: %w", err)
		}
		if last {
			return nil
		}
	}
}

// receive makes the same blocks and compares.
func (s *stream) receive() error {
	random, block, came := rand.NewChaCha8([32]byte{}), make([]byte, blockSize), make([]byte, blockSize)
	for {
		if _, err := io.ReadFull(s.to, came); err != nil {
			return fmt.Errorf("after %d bytes: %w", s.came.Load(), err)
		}
		random.Read(block)
		if !bytes.Equal(came[1:], block[1:]) {
			return fmt.Errorf("what came after %d bytes is not what was sent", s.came.Load())
		}
		s.came.Add(blockSize)
		if came[0] != 0 {
			return nil
		}
	}
}

// flow waits until so much has come that a hub must have moved it.
func (s *stream) flow(t *testing.T) {
	t.Helper()
	before := s.came.Load()
	eventually(t, "waiting for the stream to flow", func() error {
		select {
		case err := <-s.ended:
			t.Fatal("the stream has ended: ", err)
		default:
		}
		if came := s.came.Load() - before; came < inTransit {
			return fmt.Errorf("%d bytes came", came)
		}
		return nil
	})
}

// finish ends the stream, and wants every byte of it to have come.
func (s *stream) finish(t *testing.T) {
	t.Helper()
	s.last.Store(true)
	if err := errors.Join(<-s.ended, <-s.ended); err != nil {
		t.Fatal(err)
	}
}
