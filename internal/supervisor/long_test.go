package supervisor

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"serialhub/internal/config"
	"serialhub/internal/endpoint"
	"serialhub/internal/relay"
)

// TestLongTexts has peers and failures that say more of themselves than anybody wants to know, or to keep.
func TestLongTexts(t *testing.T) {
	long := strings.Repeat("ü", 50_000)
	h := startWith(t, func(s *Supervisor) {
		c := *s.links[0].config
		c.B.Connects = true
		c.Restart = config.Restart{Policy: config.Always, Delay: time.Hour, MaxDelay: time.Hour}
		s.links[0].config = &c
		s.links[0].parts.dial = func(context.Context, endpoint.Spec) (endpoint.Peer, error) {
			return endpoint.Peer{}, errors.New(long)
		}
	}, "dbg")
	h.waitState("dbg", LinkRetrying)
	l := h.listen()
	l.hear()

	sleep := exec.CommandContext(t.Context(), "sleep", "60")
	sleep.Args[0] = long
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	defer sleep.Wait()
	defer sleep.Process.Kill()
	guest, err := h.Attach(t.Context(), "dbg", relay.A, endpoint.Credentials{PID: sleep.Process.Pid, Address: long, Subject: long}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer guest.Close()
	link := h.wait("dbg", "somebody is there", func(l Link) bool { return l.Ends[relay.A].Peer != nil })
	l.hear()

	peer := link.Ends[relay.A].Peer
	texts := []string{peer.Command, peer.Address, peer.Subject, link.Last.Message}
	for _, e := range l.heard {
		texts = append(texts, e.Message, e.Reason)
		if e.Peer != nil {
			texts = append(texts, e.Peer.Command, e.Peer.Address, e.Peer.Subject)
		}
	}
	cut := 0
	for _, text := range texts {
		if len(text) > 1100 || !utf8.ValidString(text) {
			t.Errorf("a text has %d bytes: %q", len(text), text[:20])
		}
		if strings.HasSuffix(text, "ü…") {
			cut++
		}
	}
	if cut < 8 {
		t.Errorf("of %d texts, %d say that they were cut", len(texts), cut)
	}
}
