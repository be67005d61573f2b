package container

import (
	"io"
	"net"
	"testing"
	"time"
)

// Peer is the test itself at an end of a link.
type Peer struct{ net.Conn }

// Connect connects to a socket for as long as the test runs, as soon as somebody listens on it.
func Connect(t *testing.T, socket string) Peer {
	t.Helper()
	var p Peer
	Eventually(t, "connecting to "+socket, func() (err error) {
		p.Conn, err = net.Dial("unix", socket)
		return err
	})
	t.Cleanup(func() { p.Close() })
	p.SetDeadline(time.Now().Add(Patience))
	return p
}

// Say sends a text.
func (p Peer) Say(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(p, text); err != nil {
		t.Fatal(err)
	}
}

// Hear wants a text to come next.
func (p Peer) Hear(t *testing.T, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(p, got); err != nil || string(got) != text {
		t.Fatalf("%q came, and %v, where %q should", got[:n], err, text)
	}
}

// HearEnd wants the other side to close, with nothing said.
func (p Peer) HearEnd(t *testing.T) {
	t.Helper()
	if got, err := io.ReadAll(p); err != nil || len(got) > 0 {
		t.Fatalf("%q came, and %v, where the end should", got, err)
	}
}

// Converse sends a text each way between two peers.
func Converse(t *testing.T, a, b Peer) {
	t.Helper()
	a.Say(t, "from a to b")
	b.Hear(t, "from a to b")
	b.Say(t, "from b to a")
	a.Hear(t, "from b to a")
}
