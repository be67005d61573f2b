package continuity

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"
)

// conn is a peer's end of its connection: a socket or a terminal.
type conn interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// say writes a text for the other end's peer.
func say(t *testing.T, peer conn, text string) {
	t.Helper()
	peer.SetWriteDeadline(time.Now().Add(patience))
	if _, err := peer.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// hear reads exactly a text.
func hear(t *testing.T, peer conn, text string) {
	t.Helper()
	peer.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(text))
	if n, err := io.ReadFull(peer, got); err != nil || string(got) != text {
		t.Fatalf("a peer got %q, %v; want %q", got[:n], err, text)
	}
}

// converse lets two peers say something to each other.
func converse(t *testing.T, a, b conn) {
	t.Helper()
	say(t, a, "from a to b")
	hear(t, b, "from a to b")
	say(t, b, "and back")
	hear(t, a, "and back")
}

// hearEnd reads a text and then the end of the connection.
func hearEnd(t *testing.T, peer conn, text string) {
	t.Helper()
	hear(t, peer, text)
	if n, err := peer.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatalf("a peer read %d bytes, %v; want the end of the connection", n, err)
	}
}

// hearNothing is sure that there is nothing to be read now.
func hearNothing(t *testing.T, peer conn) {
	t.Helper()
	peer.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	got := make([]byte, 100)
	if n, err := peer.Read(got); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a peer read %q, %v; want nothing", got[:n], err)
	}
}
