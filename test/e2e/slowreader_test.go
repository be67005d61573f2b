package e2e

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// TestSlowReader lets a guest send to a reader that stops for a while. Nothing
// may be lost, and meanwhile the guest's processor must not be held up: QEMU has
// to be told to wait, which it does without stopping the guest.
func TestSlowReader(t *testing.T) {
	needTools(t)
	const (
		size      = 64 << 10
		pings     = 20
		pause     = 250 * time.Millisecond // the reader stands still for pings*pause, 5 s, at least
		tolerable = 10 * time.Second       // a guest that is held up would answer after the stop only
	)
	h := startHub(t, "slow")
	reader, err := net.Dial("unix", h.socket("slow", "b"))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	reader.SetDeadline(time.Now().Add(2 * patience))
	sender := startGuest(t, "sender", h.socket("slow", "a"), quietLink)
	h.waitState(t, "slow", "up")

	sent := sender.run(t, makeData(size)+"sha256sum </tmp/data")
	sender.run(t, `(cat /tmp/data >/dev/ttyS1; echo $? >/tmp/sent) &`)

	hash := sha256.New()
	if _, err := io.CopyN(hash, reader, 1<<10); err != nil {
		t.Fatal("reading the first of the data: ", err)
	}
	var slowest time.Duration
	nextPing := time.NewTicker(pause)
	defer nextPing.Stop()
	for range pings {
		asked := time.Now()
		sender.run(t, "cat /proc/uptime")
		slowest = max(slowest, time.Since(asked))
		<-nextPing.C
	}
	end := h.status(t, "slow").Ends["a"]
	t.Logf("while the reader stood still, the hub took %d of %d bytes; the guest's slowest answer took %v",
		end.ReceivedBytes, size, slowest)
	if slowest > tolerable {
		t.Errorf("the guest took %v to answer while the reader stood still", slowest)
	}

	if _, err := io.CopyN(hash, reader, size-1<<10); err != nil {
		t.Fatalf("reading the rest of the data: %v; the hub says %+v", err, h.status(t, "slow"))
	}
	// As sha256sum prints the hash of its standard input.
	if received := fmt.Sprintf("%x  -", hash.Sum(nil)); received != sent {
		t.Errorf("sent %s, received %s", sent, received)
	}
	if end := h.status(t, "slow").Ends["a"]; end.DiscardedBytes != 0 || end.ReceivedBytes != size {
		t.Errorf("after %d bytes the hub says %+v", size, end)
	}
	sender.run(t, `while [ ! -s /tmp/sent ]; do usleep 10000; done; exit $(cat /tmp/sent)`)
}
