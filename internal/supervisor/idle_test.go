package supervisor

import (
	"syscall"
	"testing"
	"time"
)

// BenchmarkIdle measures the processor time that a hub of 100 links takes in 10 s in which nothing happens.
func BenchmarkIdle(b *testing.B) {
	_, end := runLinks(b, manyLinks(b, b.TempDir(), 100))
	const span = 10 * time.Second
	before := processorTime(b)
	for range b.N {
		<-time.After(span)
	}
	b.ReportMetric(float64((processorTime(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/10s")
	end()
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
