package guest

import (
	"io"
	"net"
	"testing"
	"time"
)

// echoing makes a serial device in the guest one that says what it hears, until it is unplugged.
func (g *guest) echoing(t *testing.T, node string) *process {
	t.Helper()
	p := g.start(t, "sh", "-c", "exec <>"+node+" && stty raw -echo && echo ready && exec cat >&0")
	p.hear(t, "ready")
	return p
}

// wantEcho sends what has bytes of every kind, and wants it back.
func wantEcho(t *testing.T, line net.Conn) {
	t.Helper()
	line.SetDeadline(time.Now().Add(patience))
	sent := make([]byte, 256)
	for i := range sent {
		sent[i] = byte(i)
	}
	if _, err := line.Write(sent); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(sent))
	if n, err := io.ReadFull(line, got); err != nil || string(got) != string(sent) {
		t.Fatalf("%q came back, and %v", got[:n], err)
	}
}

// TestSerial moves bytes through both serial devices, and unplugs one of them.
func TestSerial(t *testing.T) {
	g := startGuest(t)
	g.echoing(t, serialNode)
	wantEcho(t, g.serial)
	for range 3 {
		p := g.echoing(t, usbNode)
		wantEcho(t, g.usb)
		g.unplug(t)
		if output, code := p.wait(t); code != 0 {
			t.Errorf("who reads an unplugged device ended with %d: %s", code, output)
		}
		g.waitFile(t, usbNode, false)
		g.plug(t)
		g.waitFile(t, usbNode, true)
	}
	wantEcho(t, g.serial)
}
