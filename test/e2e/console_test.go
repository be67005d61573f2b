package e2e

import (
	"io"
	"net"
	"regexp"
	"testing"
	"time"

	"serialhub/internal/testenv"
)

var (
	prompt = regexp.MustCompile(`/ # `)
	answer = regexp.MustCompile(`answer: 42`)
)

// TestConsoleOnLinkBootsWithNobodyThere boots VMs whose kernel console is the
// link. Linux waits for each byte of its console to leave; with nobody at the
// other end it must boot all the same, and whoever comes later finds a shell.
func TestConsoleOnLinkBootsWithNobodyThere(t *testing.T) {
	needTools(t)
	h := startHub(t, "alone", "watched")

	watcher := dial(t, h.socket("watched", "b"))
	watched := startGuest(t, "watched", h.socket("watched", "a"), consoleLink)
	watcher.expect(t, regexp.MustCompile(`Linux version`))
	useConsole(t, watcher)

	// startGuest fails if the boot takes more than patience.
	alone := startGuest(t, "alone", h.socket("alone", "a"), consoleLink)
	t.Logf("booted in %v with somebody there, in %v with nobody there", watched.bootTime, alone.bootTime)
	if end := h.status(t, "alone").Ends["a"]; end.DiscardedBytes == 0 {
		t.Errorf("the console's output went nowhere, and yet nothing is discarded: %+v", end)
	}
	if end := h.status(t, "watched").Ends["a"]; end.DiscardedBytes != 0 {
		t.Errorf("the console's output was read, and yet some is discarded: %+v", end)
	}
	useConsole(t, dial(t, h.socket("alone", "b")))
}

// useConsole works at the shell of a guest at the other end of a link.
func useConsole(t *testing.T, c *client) {
	t.Helper()
	c.write(t, "\r")
	c.expect(t, prompt)
	c.write(t, "echo answer: $((6*7))\r")
	c.expect(t, answer)
}

// client is a process at an end of a link that is no VM: the test itself. All
// that comes is read at once.
type client struct {
	net.Conn
	received *transcript
}

// dial connects to an end of a link for as long as the test runs.
func dial(t *testing.T, socket string) *client {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{Conn: conn, received: newTranscript()}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.received.copyFrom(c)
	}()
	t.Cleanup(func() {
		c.Close()
		<-ended
	})
	return c
}

func (c *client) write(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// take waits until size bytes have come after position from, and returns them.
func (c *client) take(t *testing.T, from, size int) []byte {
	t.Helper()
	timeout := time.After(patience)
	for {
		text, ended, changed := c.received.snapshot()
		if len(text) >= from+size {
			return text[from:]
		}
		if ended {
			t.Fatalf("the connection ended after %d of %d bytes", len(text)-from, size)
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("%d of %d bytes came within %v", len(text)-from, size, patience)
		}
	}
}

// expect waits for a pattern in all that has come.
func (c *client) expect(t *testing.T, pattern *regexp.Regexp) {
	t.Helper()
	if _, err := c.received.waitFor(pattern, 0, patience); err != nil {
		text, _, _ := c.received.snapshot()
		t.Fatalf("%v; what came last:\n%s", err, testenv.Tail(string(text)))
	}
}
