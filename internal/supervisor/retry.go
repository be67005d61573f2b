package supervisor

import (
	"time"

	"github.com/cenkalti/backoff/v5"

	"serialhub/internal/config"
)

const (
	// healthy is how long something has to work before its failures are forgotten.
	healthy = 10 * time.Second
	// jitter spreads the delays, so that what failed together is not tried again together.
	jitter = 0.2
)

// retry decides when something that has failed is tried again, and when it is given up.
type retry struct {
	rules    config.Restart
	delay    *backoff.ExponentialBackOff // nil until something fails
	failures int                         // in a row
	works    time.Time                   // since when; zero if it does not
}

func newRetry(rules config.Restart) *retry {
	return &retry{rules: rules}
}

// adopt changes the rules, and remembers what has failed.
func (r *retry) adopt(rules config.Restart) {
	r.rules = rules
	if r.delay != nil {
		r.delay.InitialInterval, r.delay.MaxInterval = rules.Delay, rules.MaxDelay
	}
}

// succeeded notes that it works from now on.
func (r *retry) succeeded() { r.works = time.Now() }

// failed notes that it does not work any more, and tells how long to wait; or, with ok false, that it has failed too
// often in a row.
func (r *retry) failed() (wait time.Duration, ok bool) {
	if !r.works.IsZero() && time.Since(r.works) >= healthy {
		r.reset()
	}
	r.works = time.Time{}
	r.failures++
	if r.rules.Policy == config.Never || r.rules.MaxFailures > 0 && r.failures >= r.rules.MaxFailures {
		return 0, false
	}
	return r.next(), true
}

// lost notes that something has ended that worked, and tells how long to wait before it is tried again. It may have worked for a moment only, again and again.
func (r *retry) lost() time.Duration {
	if !r.works.IsZero() && time.Since(r.works) >= healthy {
		r.reset()
	}
	r.works = time.Time{}
	return r.next()
}

// next is the next delay.
func (r *retry) next() time.Duration {
	if r.delay == nil {
		r.delay = &backoff.ExponentialBackOff{
			InitialInterval:     r.rules.Delay,
			MaxInterval:         r.rules.MaxDelay,
			Multiplier:          2,
			RandomizationFactor: jitter,
		}
	}
	return min(r.delay.NextBackOff(), r.rules.MaxDelay)
}

// reset forgets what has failed.
func (r *retry) reset() {
	r.failures = 0
	r.delay = nil
}
