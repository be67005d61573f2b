package continuity

import (
	"bytes"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// atOnceTime is within which a stream ends when the hub does, on a machine that may be busy.
const atOnceTime = 2 * time.Second

// TestTapsEndWithTheHub watches a link while the hub is interrupted: the stream ends, as it should where the hub can see to that, and is whole up to there.
func TestTapsEndWithTheHub(t *testing.T) {
	const path = "/links/dbg/tap?since_start=true&format=raw&end=a"
	each(t, interruptions(), scrolled, func(t *testing.T, s *service, cause interruption) {
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		for range 2 {
			streams := map[string]<-chan ending{"stream": s.tap(path), "WebSocket": readSocket(s.socket(path))}
			converse(t, a, b)
			begun := time.Now()
			cause.happen(s)
			s.ready()
			for kind, stream := range streams {
				got := <-stream
				if got.at.Sub(begun) > atOnceTime {
					t.Errorf("the %s ended after %v", kind, got.at.Sub(begun))
				}
				if cause.name == "kill" {
					continue
				}
				if got.err != nil || !bytes.HasSuffix(got.data, []byte("from a to b")) {
					t.Errorf("the %s was %q and ended with %v", kind, got.data, got.err)
				}
				if kind == "WebSocket" && (got.code != websocket.StatusGoingAway || got.reason == "") {
					t.Errorf("the WebSocket was closed with %v %q", got.code, got.reason)
				}
			}
		}
	})
}

// TestUpgradeWaitsForNoTap replaces a hub that many watch, some of whom do not read: it takes no longer than with none.
func TestUpgradeWaitsForNoTap(t *testing.T) {
	const path = "/links/dbg/tap?since_start=true&format=hex"
	each(t, interruptions()[1:], scrolled, func(t *testing.T, s *service, cause interruption) {
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		took := func() time.Duration {
			begun := time.Now()
			cause.happen(s)
			s.status()
			return time.Since(begun)
		}
		alone := took()
		var streams []<-chan ending
		for range 9 {
			streams = append(streams, s.tap(path), readSocket(s.socket(path)))
		}
		s.neverRead(path)
		s.socket(path)
		p := newProgress(2<<20, 1)
		if _, err := startFlow(a, b, 1<<20, p).wait(); err != nil {
			t.Fatal(err)
		}
		watched := took()
		t.Logf("it took %v, and %v with taps", alone, watched)
		if watched > alone+2*time.Second {
			t.Errorf("it took %v, and %v with taps", alone, watched)
		}
		for _, stream := range streams {
			<-stream // how it has ended depends on how fast it was read; see TestTapsEndWithTheHub
		}
		converse(t, a, b)
	})
}
