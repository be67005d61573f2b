package watch_test

import (
	"fmt"
	"testing"

	"serialhub/internal/relay"
)

// BenchmarkSaw is what a piece of what crosses a link costs the hub's loop, while some read the tape.
func BenchmarkSaw(b *testing.B) {
	for _, readers := range []int{0, 1, 10} {
		for _, size := range []int{16, 64 << 10} {
			b.Run(fmt.Sprintf("%d readers, %d B", readers, size), func(b *testing.B) {
				tape := tape(b, 64<<10)
				for range readers {
					go func() {
						r := tape.Now()
						defer r.Close()
						for {
							if _, err := r.Next(b.Context()); err != nil {
								return
							}
						}
					}()
				}
				piece := make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					tape.Saw(relay.A, piece, 0)
				}
			})
		}
	}
}
