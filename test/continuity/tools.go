package continuity

import (
	"fmt"
	"testing"
	"time"

	"serialhub/internal/testenv"
)

// patience is how long a test waits for what should happen at once, on a machine that may be busy.
const patience = 30 * time.Second

// eventually polls a condition until it holds; its last error says what was still wrong when patience ran out.
func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	testenv.Eventually(t, patience, "waiting until "+what, condition)
}

// pass lets time go by: to meet a random moment, or to see that nothing happens in it.
func pass(d time.Duration) { <-time.After(d) }

// unless is an error if a condition does not hold.
func unless(holds bool, format string, values ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf(format, values...)
}
