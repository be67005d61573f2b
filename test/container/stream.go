package container

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

// Stream is what one peer says to another without a pause, block after block. Every byte of it is compared.
type Stream struct {
	from, to Peer
	came     atomic.Int64 // bytes that have come, and were right
	last     atomic.Bool  // the next block is the last one
	ended    chan error   // how the sender, and the receiver, ended
}

// startStream starts to send; finish ends it.
func startStream(from, to Peer) *Stream {
	s := &Stream{from: from, to: to, ended: make(chan error, 2)}
	go func() { s.ended <- s.send() }()
	go func() { s.ended <- s.receive() }()
	return s
}

// StartStreams starts one stream each way.
func StartStreams(a, b Peer) (streams [2]*Stream) {
	return [2]*Stream{startStream(a, b), startStream(b, a)}
}

// send sends blocks. The first byte of one tells whether it is the last, the others are random.
func (s *Stream) send() error {
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
func (s *Stream) receive() error {
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

// Flow waits until so much has come that a hub must have moved it.
func (s *Stream) Flow(t *testing.T) {
	t.Helper()
	before := s.came.Load()
	Eventually(t, "waiting for the stream to flow", func() error {
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

// Finish ends the stream, and wants every byte of it to have come.
func (s *Stream) Finish(t *testing.T) {
	t.Helper()
	s.last.Store(true)
	if err := errors.Join(<-s.ended, <-s.ended); err != nil {
		t.Fatal(err)
	}
}
