package render_test

import (
	"bytes"
	"fmt"
	"testing"

	"serialhub/internal/render"
	"serialhub/internal/watch"
)

// BenchmarkAppend is what a MiB of a console's text costs, in the largest events and in the smallest.
func BenchmarkAppend(b *testing.B) {
	const size = 1 << 20
	console := bytes.Repeat([]byte("[   12.345678] systemd[1]: Reached target multi-user.target – Multi-User System.\r\n"), size/80)[:size]
	for _, format := range []render.Format{render.Hex, render.Raw, render.Text, render.JSON, render.PCAPNG} {
		for _, piece := range []int{16 << 10, 1} {
			b.Run(fmt.Sprintf("%s/%d", format, piece), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(size)
				r := render.New(format, render.Options{Link: "dbg", Timestamps: true})
				out := r.Header(make([]byte, 0, 1<<20))
				for b.Loop() {
					for at := 0; at < size; at += piece {
						out = r.Append(out[:0], watch.Event{At: start, Offset: uint64(at), Data: console[at : at+piece]})
					}
				}
			})
		}
	}
}
