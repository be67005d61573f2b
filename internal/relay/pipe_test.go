package relay_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"serialhub/internal/relay"
)

// pipes is how many ends of pipes this process has open.
func pipes(t *testing.T) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if target, err := os.Readlink(filepath.Join("/proc/self/fd", entry.Name())); err == nil && strings.HasPrefix(target, "pipe:") {
			n++
		}
	}
	return n
}

// TestPipesAreGivenBack holds up both lanes of many links on one loop: each needs a pipe of its own then, and none when its bytes have
// been taken.
func TestPipesAreGivenBack(t *testing.T) {
	const links = 6
	before := pipes(t)
	first := newBench(t)
	benches := []*bench{first}
	for range links - 1 {
		benches = append(benches, first.another(relay.Rules{}))
	}
	for _, b := range benches {
		b.connect(relay.A)
		b.connect(relay.B)
	}
	if n := pipes(t) - before; n != 0 {
		t.Errorf("idle links have %d ends of pipes", n)
	}
	filled := map[relay.Side][]int{}
	for _, b := range benches {
		for _, side := range []relay.Side{relay.A, relay.B} {
			filled[side] = append(filled[side], fill(t, b.conns[side], random(4<<20)))
		}
	}
	if n := pipes(t) - before; n < 3*links { // a lane's pipe can be empty just when its sender is full
		t.Errorf("links that are held up both ways have %d ends of pipes, want about %d", n, 4*links)
	}
	for i, b := range benches {
		for side, counts := range filled {
			if _, err := io.CopyN(io.Discard, b.conns[side.Other()], int64(counts[i])); err != nil {
				t.Fatal(err)
			}
		}
	}
	const spare = 2 * 4 // 4 pipes
	first.eventually("all but some spare pipes are closed", func() bool { return pipes(t)-before <= spare })
}

// TestLinksWaitForAPipe lets no descriptor be opened while a link needs a pipe. It goes on when one can be had.
func TestLinksWaitForAPipe(t *testing.T) {
	b := newBench(t)
	a, other := b.connect(relay.A), b.connect(relay.B)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	// The lowest descriptor that is free is the first one that may not be had.
	fd, err := unix.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd) // a copy
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(fd), Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	}
	defer restore()
	data := random(1 << 20)
	sent := make(chan error, 1)
	go func() {
		_, err := a.Write(data)
		sent <- err
	}()
	b.stays("without a pipe nothing is read", func() bool { return b.counters[relay.A].Received.Load() == 0 })
	restore()
	got := make([]byte, len(data))
	if n, err := io.ReadFull(other, got); err != nil || string(got) != string(data) {
		t.Errorf("%d bytes arrived, %v", n, err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}
