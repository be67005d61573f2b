package continuity

import (
	"fmt"
	"testing"
	"time"
)

// patience is how long a test waits for what should happen at once, on a machine that may be busy.
const patience = 30 * time.Second

// eventually polls a condition until it holds; its last error says what was still wrong when patience ran out.
func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for ; ; <-poll.C {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waiting until %s: %v", what, err)
		}
	}
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

// tail is the end of a long text, for messages.
func tail(text string) string {
	const most = 16384
	if len(text) > most {
		return "…" + text[len(text)-most:]
	}
	return text
}
