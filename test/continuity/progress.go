package continuity

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// progress is how far one or more flows are. It tells when so many random moments have come, which are measured in bytes.
type progress struct {
	moments chan struct{}
	failed  chan error // has room for one

	mu         sync.Mutex
	left       int64
	due        []int64 // what is left at each moment to come, in order
	last       time.Time
	standstill time.Duration // the longest time in which nothing has arrived anywhere
}

// newProgress spreads moments over the way of so many bytes.
func newProgress(size int64, moments int) *progress {
	p := &progress{moments: make(chan struct{}, moments), failed: make(chan error, 1), left: size, last: time.Now()}
	for i := range moments {
		slice := size / int64(moments)
		p.due = append(p.due, size-slice*int64(i)-rand.Int64N(slice))
	}
	return p
}

// count notes that so many bytes have arrived.
func (p *progress) count(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left -= int64(n)
	now := time.Now()
	p.standstill = max(p.standstill, now.Sub(p.last))
	p.last = now
	for len(p.due) > 0 && p.left <= p.due[0] {
		p.due = p.due[1:]
		p.moments <- struct{}{}
	}
}

// fail notes why bytes do not arrive any more.
func (p *progress) fail(err error) {
	select {
	case p.failed <- err:
	default: // the first one says it
	}
}

// await waits for the next moment.
func (p *progress) await(t *testing.T) {
	t.Helper()
	select {
	case <-p.moments:
	case err := <-p.failed:
		t.Fatal(err)
	case <-time.After(patience):
		t.Fatalf("nothing flows: %d bytes have not arrived", p.ahead())
	}
}

// stoodStill is the longest time so far in which nothing has arrived anywhere.
func (p *progress) stoodStill() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.standstill
}

// ahead is how many bytes have not arrived.
func (p *progress) ahead() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left
}
