package continuity

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// TestAttachedPeerLeavesWithTheHub attaches a peer through the API, to whom another one sends while the hub is interrupted: it is told that the hub goes, the
// other one stays, and whoever comes next gets what it has not got.
func TestAttachedPeerLeavesWithTheHub(t *testing.T) {
	const links = "  - {name: dbg, a: a, b: b, absent: hold}\n"
	each(t, interruptions()[1:], links, func(t *testing.T, s *service, cause interruption) {
		b := s.dial("b")
		attached := s.socket("/links/dbg/attach?end=a")
		s.waitState("dbg", "up")
		if err := attached.Write(t.Context(), websocket.MessageBinary, []byte("from the attached one")); err != nil {
			t.Fatal(err)
		}
		hear(t, b, "from the attached one")
		got := readSocket(attached)
		all := &stream{from: b, seed: byte(rand.Uint32()), size: 8 << 20}
		sent := make(chan error, 1)
		go func() { sent <- all.send() }()
		pass(time.Duration(rand.Int64N(int64(10 * time.Millisecond))))
		cause.happen(s)
		first := <-got
		if first.err != nil || first.code != websocket.StatusGoingAway || first.reason == "" {
			t.Errorf("the attached peer was left with %v %q, %v", first.code, first.reason, first.err)
		}
		s.waitState("dbg", "half")
		next := s.dial("a")
		next.SetReadDeadline(time.Now().Add(patience))
		rest := make([]byte, all.size-int64(len(first.data)))
		if n, err := io.ReadFull(next, rest); err != nil {
			t.Errorf("after %d bytes came %d of %d: %v", len(first.data), n, len(rest), err)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
		want := make([]byte, all.size)
		all.bytes().Read(want)
		if !bytes.Equal(append(first.data, rest...), want) {
			t.Errorf("it is not what was sent: %d bytes, and %d for the next", len(first.data), len(rest))
		}
		converse(t, next, b)
	})
}
