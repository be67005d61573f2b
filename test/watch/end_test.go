package watch

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/client"
)

// Who watches, or is attached, is told why that is over.
func TestTheHubTellsWhyItEnds(t *testing.T) {
	const closed = "the hub has closed the connection"
	for _, test := range []struct {
		name            string
		cause           func(*hub)
		tap, attached   string // as the client is told
		streamContinues bool
	}{
		{"the hub stops", func(h *hub) { h.stop() }, "the hub stops", "the hub stops", false},
		{"the link is removed", func(h *hub) {
			h.write("links.yaml", "api: {listen: 'unix:DIR/api'}\nlinks: []\n")
			h.cmd.Process.Signal(unix.SIGHUP)
		}, "the link was removed", closed, false},
		{"the link is reset", func(h *hub) { h.get("/links/dbg/reset", nil) }, "", closed, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := startHub(t, link())
			hub := h.client()
			tap, err := hub.Tap(context.Background(), "dbg", client.TapOptions{Format: "raw"})
			if err != nil {
				t.Fatal(err)
			}
			defer tap.Close()
			stream := h.stream("format=raw")
			attached, err := hub.Attach(context.Background(), "dbg", "b", false)
			if err != nil {
				t.Fatal(err)
			}
			defer attached.Leave()
			test.cause(h)
			told := func(who string, err error, want string) {
				t.Helper()
				lost := (*client.LostError)(nil)
				if !errors.As(err, &lost) || !strings.HasPrefix(lost.Reason, want) {
					t.Errorf("%s is told %v, want %q", who, err, want)
				}
			}
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			_, err = attached.Read(make([]byte, 1))
			told("who is attached", err, test.attached)
			if test.streamContinues {
				a, b := h.dialBoth()
				tell(t, a, b, "x")
				hearStream(t, stream, "x")
				return
			}
			told("a watcher", tap.Copy(ctx, io.Discard, nil), test.tap)
			if rest, err := io.ReadAll(stream); err != nil || len(rest) > 0 {
				t.Errorf("the stream ends with %q, %v", rest, err)
			}
		})
	}
}

// Watchers, and who is attached, that do not read do not hold up the end of the hub.
func TestStopWithStuckClients(t *testing.T) {
	h := startHub(t, link())
	a, b := h.dialBoth()
	h.stream("format=json") // and never reads
	tap, err := h.client().Tap(context.Background(), "dbg", client.TapOptions{Format: "raw"})
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	if err := newPattern(2).carry(a, b, 0, 20_000_000); err != nil {
		t.Fatal(err)
	}
	if took := h.stop(); took > 10*time.Second {
		t.Errorf("the hub took %v to end", took)
	}
}

// A watcher of a link on which nothing is said stays.
func TestTapOfASilentLink(t *testing.T) {
	t.Parallel()
	h := startHub(t, link())
	a, b := h.dialBoth()
	stream := h.stream("format=raw")
	socket := h.tap("--format", "raw")
	<-time.After(11 * time.Second) // longer than a request may take to come in
	tell(t, a, b, "at last")
	hearStream(t, stream, "at last")
	socket.showsText("at last")
}

// hearStream reads exactly a text.
func hearStream(t *testing.T, stream io.Reader, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(stream, got); err != nil || string(got) != text {
		t.Fatalf("a stream shows %d bytes, %.200q, %v; want %d, %.200q", n, got[:n], err, len(text), text)
	}
}
