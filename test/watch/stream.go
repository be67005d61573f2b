package watch

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"
)

// pattern is a stream without end: a block of random bytes, again and again. What is at an offset is known.
type pattern struct{ block []byte }

func newPattern(seed byte) pattern {
	const size = 1_048_573 // a prime number: no piece of the hub's begins at the same place in it again and again
	p := pattern{make([]byte, size)}
	rand.NewChaCha8([32]byte{seed}).Read(p.block)
	return p
}

// at returns bytes from an offset on: n of them, or less.
func (p pattern) at(offset int64, n int) []byte {
	rest := p.block[offset%int64(len(p.block)):]
	return rest[:min(n, len(rest))]
}

// holds tells whether data is what the pattern has at an offset.
func (p pattern) holds(offset int64, data []byte) bool {
	for len(data) > 0 {
		want := p.at(offset, len(data))
		if !bytes.Equal(data[:len(want)], want) {
			return false
		}
		data, offset = data[len(want):], offset+int64(len(want))
	}
	return true
}

// carry has what the pattern has from an offset to another said by one peer, and compares the hash of what the other one hears.
func (p pattern) carry(from, to net.Conn, start, end int64) error {
	said := make(chan error, 1)
	sent, got := sha256.New(), sha256.New()
	go func() {
		for offset := start; offset < end; {
			piece := p.at(offset, int(min(1+offset%70_000, end-offset)))
			from.SetWriteDeadline(time.Now().Add(patience))
			if _, err := from.Write(piece); err != nil {
				said <- fmt.Errorf("after %d bytes: %w", offset, err)
				return
			}
			sent.Write(piece)
			offset += int64(len(piece))
		}
		said <- nil
	}()
	buffer := make([]byte, 256<<10)
	for left := end - start; left > 0; {
		to.SetReadDeadline(time.Now().Add(patience))
		n, err := to.Read(buffer[:min(int64(len(buffer)), left)])
		if err != nil {
			from.Close()
			return errors.Join(fmt.Errorf("%d bytes have not arrived: %w", left, err), <-said)
		}
		got.Write(buffer[:n])
		left -= int64(n)
	}
	if err := <-said; err != nil {
		return err
	}
	if !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
		return errors.New("other bytes have arrived than were said")
	}
	return nil
}

// event is a line of the format json.
type event struct {
	Time   time.Time
	End    string
	Offset int64
	Data   []byte
	Missed int64
}

// events reads lines of the format json, one by one. It is for one goroutine.
type events struct{ lines *bufio.Scanner }

func newEvents(r io.Reader) *events {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	return &events{lines}
}

// next returns io.EOF at the end.
func (e *events) next() (event, error) {
	var next event
	if !e.lines.Scan() {
		return next, errors.Join(e.lines.Err(), io.EOF)
	}
	decoder := json.NewDecoder(bytes.NewReader(e.lines.Bytes()))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&next); err != nil {
		return next, fmt.Errorf("%w in %q", err, e.lines.Text())
	}
	return next, nil
}

// all reads until so many bytes have come from each end that is named, and returns what they are.
func (e *events) all(want map[string]int) (said map[string]string, in []event, err error) {
	said = map[string]string{}
	left := 0
	for _, n := range want {
		left += n
	}
	for left > 0 {
		next, err := e.next()
		if err != nil {
			return said, in, fmt.Errorf("%d bytes have not come: %w", left, err)
		}
		if next.Missed > 0 || next.Offset != int64(len(said[next.End])) {
			return said, in, fmt.Errorf("after %d bytes comes %+v", len(said[next.End]), next)
		}
		said[next.End] += string(next.Data)
		in = append(in, next)
		left -= len(next.Data)
	}
	return said, in, nil
}
