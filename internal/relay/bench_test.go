package relay_test

import (
	"fmt"
	"io"
	"net"
	"testing"

	"serialhub/internal/relay"
)

// benchPair is a link with both peers there.
func benchPair(b *testing.B) (near, far net.Conn) {
	bench := newBench(b)
	return bench.connect(relay.A), bench.connect(relay.B)
}

// BenchmarkRoundTrip sends a message, and one back when it has come.
func BenchmarkRoundTrip(b *testing.B) {
	for _, size := range []int{1, 16} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			near, far := benchPair(b)
			echoed := make(chan error, 1)
			go func() {
				message := make([]byte, size)
				for {
					if _, err := io.ReadFull(far, message); err != nil {
						echoed <- err
						return
					}
					far.Write(message)
				}
			}()
			message := make([]byte, size)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := near.Write(message); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(near, message); err != nil {
					b.Fatal(err)
				}
			}
			far.Close()
			<-echoed
		})
	}
}

// BenchmarkStream sends messages one way, as fast as they are taken.
func BenchmarkStream(b *testing.B) {
	for _, size := range []int{1, 16, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			near, far := benchPair(b)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				io.Copy(io.Discard, far)
			}()
			message := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := near.Write(message); err != nil {
					b.Fatal(err)
				}
			}
			far.Close()
			<-ended
		})
	}
}

// TestMessagesCostNoMemory carries messages there and back, and looks at what is allocated meanwhile.
func TestMessagesCostNoMemory(t *testing.T) {
	b := newBench(t)
	near, far := b.connect(relay.A), b.connect(relay.B)
	message := make([]byte, 16)
	pass := func(from, to net.Conn) {
		if _, err := from.Write(message); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(to, message); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(2000, func() { pass(near, far); pass(far, near) }); n > 0 {
		t.Errorf("a message there and back allocates %v times", n)
	}
}
