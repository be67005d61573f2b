package supervisor

import (
	"fmt"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"serialhub/internal/address"
	"serialhub/internal/config"
)

// descriptorsPerLink are two listening sockets.
const descriptorsPerLink = 2

// manyLinks makes n links whose sockets are in dir.
func manyLinks(b *testing.B, dir string, n int) []config.Link {
	b.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		b.Fatal(err)
	}
	if need := uint64(n*descriptorsPerLink + 100); limit.Cur < need {
		b.Skipf("%d links need %d descriptors, and this process may have %d (ulimit -n)", n, need, limit.Cur)
	}
	links := make([]config.Link, n)
	for i := range links {
		end := func(side string) config.End {
			addr, err := address.Parse(fmt.Sprint(i, side), dir)
			if err != nil {
				b.Fatal(err)
			}
			return config.End{Address: addr, Mode: 0o600}
		}
		links[i] = config.Link{Name: fmt.Sprint("l", i), A: end("a"), B: end("b"), Restart: always, BufferSize: 1000}
	}
	return links
}

// runLinks runs a supervisor and waits until every end is open.
func runLinks(b *testing.B, links []config.Link) (s *Supervisor, end func()) {
	b.Helper()
	s, err := New(links, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run() }()
	for len(s.NotOpen()) > 0 {
		<-time.After(time.Millisecond)
	}
	return s, func() {
		s.Stop()
		if err := <-ended; err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStart(b *testing.B) {
	for _, n := range []int{1000, 3000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			links := manyLinks(b, b.TempDir(), n)
			for b.Loop() {
				_, end := runLinks(b, links)
				b.StopTimer()
				end()
				b.StartTimer()
			}
		})
	}
}

func BenchmarkApplyOfNothingNew(b *testing.B) {
	for _, n := range []int{1000, 3000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			links := manyLinks(b, b.TempDir(), n)
			s, end := runLinks(b, links)
			defer end()
			for b.Loop() {
				if changes, err := s.Apply(links); err != nil || len(changes.Unchanged) != n {
					b.Fatal(changes, err)
				}
			}
		})
	}
}
