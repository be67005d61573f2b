package transcript

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	firstDelay = 200 * time.Millisecond
	maxDelay   = 30 * time.Second
	// jitter spreads the delays of those who share a disk.
	jitter = 0.2
	// healthy is how long writing has to work before its failures are forgotten: a disk that is full has room for a line again and again.
	healthy = 10 * time.Second
)

// patience decides when what has failed is tried again.
type patience struct {
	delay  *backoff.ExponentialBackOff // nil until something fails
	fails  bool
	worked time.Time // when it has last begun to work
}

// failed tells how long to wait.
func (p *patience) failed() time.Duration {
	if p.delay == nil || !p.fails && time.Since(p.worked) >= healthy {
		p.delay = &backoff.ExponentialBackOff{InitialInterval: firstDelay, MaxInterval: maxDelay, Multiplier: 2, RandomizationFactor: jitter}
	}
	p.fails = true
	return min(p.delay.NextBackOff(), maxDelay)
}

// succeeded tells whether it had failed before.
func (p *patience) succeeded() bool {
	failed := p.fails
	if failed {
		p.fails, p.worked = false, time.Now()
	}
	return failed
}

// insist does something until it succeeds: again after a while, or when Reopen is called. When ctx ends it is tried for the last time.
func (t *Transcript) insist(ctx context.Context, do func() error) error {
	for {
		err := do()
		if err == nil {
			if t.patient.succeeded() {
				t.deps.Report(nil)
			}
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		wait := t.patient.failed()
		t.deps.Report(&StoppedError{Err: err, Retry: wait})
		t.pause(ctx, wait)
	}
}

// pause waits until something that has failed is to be tried again.
func (t *Transcript) pause(ctx context.Context, wait time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	t.mu.Lock()
	retry := t.retry
	t.retry, t.wake = false, cancel
	t.mu.Unlock()
	if retry {
		return
	}
	<-ctx.Done()
	t.mu.Lock()
	t.retry = false
	t.mu.Unlock()
}
