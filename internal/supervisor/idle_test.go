package supervisor

import (
	"fmt"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"serialhub/internal/address"
	"serialhub/internal/config"
	"serialhub/internal/relay"
)

// BenchmarkIdle measures the processor time that a hub of 100 links takes in 10 s in which nothing happens.
func BenchmarkIdle(b *testing.B) {
	dir := b.TempDir()
	var links []config.Link
	for i := range 100 {
		link := config.Link{Name: fmt.Sprint(i), Restart: always, BufferSize: 1000}
		for side, end := range map[relay.Side]*config.End{relay.A: &link.A, relay.B: &link.B} {
			addr, err := address.Parse(fmt.Sprint(i, side), dir)
			if err != nil {
				b.Fatal(err)
			}
			*end = config.End{Listen: addr, Mode: 0o600}
		}
		links = append(links, link)
	}
	s, err := New(links, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run() }()
	for len(s.NotOpen()) > 0 {
		<-time.After(10 * time.Millisecond)
	}
	const span = 10 * time.Second
	before := processorTime(b)
	for range b.N {
		<-time.After(span)
	}
	b.ReportMetric(float64((processorTime(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/10s")
	s.Stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
