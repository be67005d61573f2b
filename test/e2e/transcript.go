package e2e

import (
	"fmt"
	"io"
	"regexp"
	"sync"
	"time"
)

// transcript is all that has come out of a stream so far. One goroutine fills it
// with copyFrom; any number may wait for something to appear in it.
type transcript struct {
	mu      sync.Mutex
	text    []byte
	ended   bool
	changed chan struct{} // closed, and made anew, at each change
}

func newTranscript() *transcript {
	return &transcript{changed: make(chan struct{})}
}

// copyFrom appends what the stream gives until it ends.
func (tr *transcript) copyFrom(stream io.Reader) {
	buffer := make([]byte, 4096)
	for {
		n, err := stream.Read(buffer)
		tr.mu.Lock()
		tr.text = append(tr.text, buffer[:n]...)
		tr.ended = err != nil
		close(tr.changed)
		tr.changed = make(chan struct{})
		tr.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// snapshot is what has come so far, and a channel that closes when more comes.
func (tr *transcript) snapshot() (text []byte, ended bool, changed <-chan struct{}) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.text[:len(tr.text):len(tr.text)], tr.ended, tr.changed
}

// length is a position to wait from: what comes later lies behind it.
func (tr *transcript) length() int {
	text, _, _ := tr.snapshot()
	return len(text)
}

// waitFor waits until the pattern matches what came after position from, and
// returns the match with its groups.
func (tr *transcript) waitFor(pattern *regexp.Regexp, from int, within time.Duration) ([]string, error) {
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	for {
		text, ended, changed := tr.snapshot()
		if match := pattern.FindSubmatch(text[from:]); match != nil {
			groups := make([]string, len(match))
			for i, group := range match {
				groups[i] = string(group)
			}
			return groups, nil
		}
		if ended {
			return nil, fmt.Errorf("the stream ended before %q came", pattern)
		}
		select {
		case <-changed:
		case <-timeout.C:
			return nil, fmt.Errorf("%q did not come within %v", pattern, within)
		}
	}
}
