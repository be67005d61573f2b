package supervisor

import (
	"testing"
	"testing/synctest"
	"time"

	"serialhub/internal/config"
)

var always = config.Restart{Policy: config.Always, Delay: 200 * time.Millisecond, MaxDelay: 30 * time.Second}

func TestDelaysDouble(t *testing.T) {
	r := newRetry(always)
	want := always.Delay
	for i := range 12 {
		wait, ok := r.failed()
		least, most := time.Duration(float64(want)*(1-jitter)), time.Duration(float64(want)*(1+jitter))
		if !ok || wait < least || wait > min(most, always.MaxDelay) {
			t.Errorf("failure %d: wait %s (%t), want %s to %s, at most %s", i, wait, ok, least, most, always.MaxDelay)
		}
		want = min(2*want, always.MaxDelay)
	}
}

func TestDelaysDiffer(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 20 {
		wait, _ := newRetry(always).failed()
		seen[wait] = true
	}
	if len(seen) < 2 {
		t.Error("20 first delays are all the same")
	}
}

func TestFailuresAreForgottenAfterTenSecondsOfHealth(t *testing.T) {
	for _, test := range []struct {
		works   time.Duration
		forgets bool
	}{{healthy - time.Millisecond, false}, {healthy, true}} {
		synctest.Test(t, func(t *testing.T) {
			rules := always
			rules.MaxFailures = 3
			r := newRetry(rules)
			r.failed()
			r.failed()
			r.succeeded()
			time.Sleep(test.works) //nolint:forbidigo // in the bubble's time
			wait, ok := r.failed()
			if ok != test.forgets {
				t.Errorf("after %s of health, the third failure is tried again: %t", test.works, ok)
			}
			if test.forgets && wait > 300*time.Millisecond {
				t.Errorf("the delay starts afresh with %s", wait)
			}
		})
	}
}

func TestGivingUp(t *testing.T) {
	for _, test := range []struct {
		name   string
		rules  config.Restart
		allows int // failures
	}{
		{"never", config.Restart{Policy: config.Never, Delay: 1, MaxDelay: 1}, 0},
		{"always, three in a row", config.Restart{Policy: config.Always, Delay: 1, MaxDelay: 1, MaxFailures: 3}, 2},
		{"on-failure, once", config.Restart{Policy: config.OnFailure, Delay: 1, MaxDelay: 1, MaxFailures: 1}, 0},
		{"on-failure, no limit", config.Restart{Policy: config.OnFailure, Delay: 1, MaxDelay: 1}, 1000},
	} {
		r := newRetry(test.rules)
		allowed := 0
		for allowed < 1000 {
			if _, ok := r.failed(); !ok {
				break
			}
			allowed++
		}
		if allowed != test.allows {
			t.Errorf("%s: %d failures are tried again, want %d", test.name, allowed, test.allows)
		}
		r.reset()
		if _, ok := r.failed(); ok != (test.allows > 0) {
			t.Errorf("%s: after a reset, a failure is tried again: %t", test.name, ok)
		}
	}
}
