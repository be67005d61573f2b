package systemd

import (
	"io"
	"net"
	"testing"
	"time"
)

// peer is the test itself at an end of a link.
type peer struct{ net.Conn }

// connect connects to a socket for as long as the test runs, as soon as somebody listens on it.
func connect(t *testing.T, socket string) peer {
	t.Helper()
	var p peer
	eventually(t, "connecting to "+socket, func() (err error) {
		p.Conn, err = net.Dial("unix", socket)
		return err
	})
	t.Cleanup(func() { p.Close() })
	p.SetDeadline(time.Now().Add(patience))
	return p
}

// say sends a text.
func (p peer) say(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(p, text); err != nil {
		t.Fatal(err)
	}
}

// hear wants a text to come next.
func (p peer) hear(t *testing.T, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(p, got); err != nil || string(got) != text {
		t.Fatalf("%q came, and %v, where %q should", got[:n], err, text)
	}
}

// hearEnd wants the other side to close, with nothing said.
func (p peer) hearEnd(t *testing.T) {
	t.Helper()
	if got, err := io.ReadAll(p); err != nil || len(got) > 0 {
		t.Fatalf("%q came, and %v, where the end should", got, err)
	}
}

// converse sends a text each way between two peers.
func converse(t *testing.T, a, b peer) {
	t.Helper()
	a.say(t, "from a to b")
	b.hear(t, "from a to b")
	b.say(t, "from b to a")
	a.hear(t, "from b to a")
}
