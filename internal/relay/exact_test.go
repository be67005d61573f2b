package relay_test

import (
	"bytes"
	"errors"
	"fmt"

	"math/rand/v2"
	"net"
	"testing"
	"time"

	"serialhub/internal/relay"
)

// writeAtRandom writes data in pieces of 1 byte to 70 KB, with a pause now and then.
func writeAtRandom(conn net.Conn, data []byte, source *rand.Rand) error {
	for len(data) > 0 {
		n := min(len(data), randomSize(source))
		if _, err := conn.Write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
		stall(source)
	}
	return nil
}

// readAtRandom reads into data until it is full or there is no more, in pieces and with pauses like those of writeAtRandom.
func readAtRandom(conn net.Conn, data []byte, source *rand.Rand) (read int, err error) {
	for read < len(data) {
		n, err := conn.Read(data[read:min(len(data), read+randomSize(source))])
		read += n
		if err != nil {
			return read, err
		}
		stall(source)
	}
	return read, nil
}

// randomSize is small as often as large.
func randomSize(source *rand.Rand) int {
	limit := []int{1, 16, 300, 5000, 70_000}[source.IntN(5)]
	return 1 + source.IntN(limit)
}

// stall does nothing for a moment, once in a while, so that the wire runs full or empty.
func stall(source *rand.Rand) {
	if source.IntN(100) == 0 {
		<-time.After(time.Duration(source.IntN(2000)) * time.Microsecond)
	}
}

func seeded(n uint64) *rand.Rand { return rand.New(rand.NewPCG(n, n)) }

func TestExactWithStalls(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			b := newBench(t)
			conns := [2]net.Conn{b.connect(relay.A), b.connect(relay.B)}
			data := random(3 << 20)
			failed := make(chan error, 4)
			for side := range conns {
				go func() { failed <- writeAtRandom(conns[side], data, seeded(seed)) }()
				go func() {
					got := make([]byte, len(data))
					n, err := readAtRandom(conns[side], got, seeded(seed+1))
					if err == nil && !bytes.Equal(got, data) {
						err = fmt.Errorf("what arrived is not what was sent")
					}
					if err != nil {
						err = fmt.Errorf("end %s, after %d bytes: %w", relay.Side(side), n, err)
					}
					failed <- err
				}()
			}
			for range 4 {
				if err := <-failed; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestSenderClosesAtEveryPoint has senders write and close at once, one after another, while the receiver stalls now and
// then. It gets all that they wrote, in order.
func TestSenderClosesAtEveryPoint(t *testing.T) {
	b := newBench(t)
	go b.seeAll()
	reader := b.dial(relay.B)
	var sizes []int
	for n := range 70 {
		sizes = append(sizes, n)
	}
	for _, border := range []int{4096, 64 << 10, 256 << 10, 1 << 20} {
		sizes = append(sizes, border-1, border, border+1)
	}
	var all []byte
	for _, n := range sizes {
		all = append(all, random(n)...)
	}
	sent := make(chan error, 1)
	go func() {
		var err error
		for _, n := range sizes {
			conn := b.dial(relay.A)
			if werr := writeAtRandom(conn, random(n), seeded(uint64(n))); werr != nil && err == nil {
				err = fmt.Errorf("sender of %d bytes: %w", n, werr)
			}
			conn.Close()
		}
		sent <- err
	}()
	got := make([]byte, len(all))
	n, err := readAtRandom(reader, got, seeded(1))
	if err != nil || !bytes.Equal(got[:n], all) {
		t.Errorf("%d of %d bytes arrived, %v", n, len(all), err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// TestReceiverClosesAtEveryPoint lets receivers take some bytes of one long stream and close, one after another. What each
// gets is a piece of the stream, and comes after what the one before got.
func TestReceiverClosesAtEveryPoint(t *testing.T) {
	b := newBench(t)
	go b.seeAll()
	stream := random(24 << 20)
	sender := b.dial(relay.A)
	sent := make(chan error, 1)
	go func() { sent <- writeAtRandom(sender, stream, seeded(3)) }()
	source, at, receivers := seeded(4), 0, 0
	for i := range 60 {
		reader := b.dial(relay.B)
		got := make([]byte, 32+source.IntN(100_000))
		n, err := readAtRandom(reader, got, source)
		got = got[:n]
		reader.Close()
		if err != nil && n < 32 {
			break // the stream is over
		}
		receivers++
		found := bytes.Index(stream[at:], got[:32])
		if found < 0 || !bytes.HasPrefix(stream[at+found:], got) {
			t.Fatalf("receiver %d got %d bytes that are not what was sent after byte %d", i, n, at)
		}
		at += found + n
	}
	if receivers < 5 {
		t.Errorf("the stream was over after %d receivers", receivers)
	}
	sender.Close()
	if err := <-sent; err != nil && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// seeAll takes in every event until the link is over.
func (b *bench) seeAll() {
	for event := range b.events {
		switch event.Kind {
		case relay.Arrived, relay.Queued, relay.Rejected:
			b.link.Seen(event.Side)
		case relay.Over:
			return
		case relay.Left, relay.Dequeued, relay.AcceptFailed, relay.Ending, relay.CloseFailed, relay.NoBuffer, relay.Resumed:
		}
	}
}
