package main

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// tapBuffer is how much who watches a link reads at once.
const tapBuffer = 64 << 10

// watchers are clients of a hub's API that watch a link.
type watchers struct {
	count  int
	format string
	stuck  bool // they never read what they are told
}

// watch has the first link watched while work is done, which is told how to find out how many bytes all watchers have got so far.
func (r *rig) watch(w watchers, work func(seen func() int64) error) (err error) {
	var got atomic.Int64
	var reading sync.WaitGroup
	api := r.caller()
	defer reading.Wait()
	for range w.count {
		tap, err := r.get(api, "/links/l0/tap?format="+w.format)
		if err != nil {
			return err
		}
		defer tap.Body.Close() //nolint:errcheck // its end is not waited for
		if tap.StatusCode != http.StatusOK {
			return fmt.Errorf("a tap was answered with %s", tap.Status)
		}
		if w.stuck {
			continue
		}
		reading.Go(func() { drain(tap.Body, &got) })
	}
	return work(got.Load)
}

// drain reads until the end, or until from is closed, and counts the bytes.
func drain(from io.Reader, count *atomic.Int64) {
	buf := make([]byte, tapBuffer)
	for {
		n, err := from.Read(buf)
		count.Add(int64(n))
		if err != nil {
			return
		}
	}
}
