package transcript_test

import (
	"context"
	"log/slog"
	"strconv"
	"testing"

	"serialhub/internal/relay"
	"serialhub/internal/render"
	"serialhub/internal/transcript"
	"serialhub/internal/watch"
)

// What it costs to write what was said, in pieces of a size and with as much of it at once as there is.
func BenchmarkWrite(b *testing.B) {
	for _, format := range []render.Format{render.Text, render.Raw, render.Hex, render.JSON, render.PCAPNG} {
		for _, size := range []int{64, 8192} {
			b.Run(string(format)+"/"+strconv.Itoa(size), func(b *testing.B) {
				tape, err := watch.New(watch.Position{}, 0)
				if err != nil {
					b.Fatal(err)
				}
				reader := tape.Now()
				defer reader.Close()
				marked := make(chan watch.Position)
				t := transcript.New(transcript.Config{
					Path: b.TempDir() + "/dbg.log", Format: format, Sides: []relay.Side{relay.A, relay.B}, Timestamps: true, MaxSize: 64 << 20, Keep: 1,
				}, "dbg", transcript.Deps{
					Reader: reader,
					Mark:   func(m watch.Mark) { marked <- m.Position },
					Report: func(err error) { b.Error(err) },
					Log:    slog.New(slog.DiscardHandler),
				})
				ended := make(chan error)
				go func() { ended <- t.Run(context.Background()) }()
				<-marked
				data := make([]byte, size)
				for i := range data {
					data[i] = 'a'
				}
				data[size-1] = '\n'
				b.SetBytes(int64(size))
				said := uint64(0)
				for b.Loop() {
					tape.Saw(relay.A, data, 0)
					for said += uint64(size); (<-marked)[relay.A] < said; {
					}
				}
				tape.Close()
				go func() {
					for range marked {
					}
				}()
				if err := <-ended; err != nil {
					b.Error(err)
				}
				close(marked)
			})
		}
	}
}
