package guest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"
)

// bothPorts is a link of both serial devices, which is not tried again in the time that a test takes.
const bothPorts = `
defaults: {restart: {delay: 30s, max_delay: 30s}}
links: [{name: dbg, a: {device: /dev/ttyS1, baud: 115200}, b: {device: /dev/ttyUSB0, baud: 57600}}]`

// portAndSocket is a link of the 16550 and a socket.
const portAndSocket = "links: [{name: dbg, a: {device: /dev/ttyS1, baud: 115200}, b: /tmp/b}]"

// TestDevices has the built hub join real serial devices, with each other and with sockets.
func TestDevices(t *testing.T) {
	g := startGuest(t)
	for _, test := range []struct {
		name string
		try  func(*testing.T, *guest)
	}{
		{"two ports", twoPorts},
		{"unplugged and plugged", unplugged},
		{"killed", killedHub},
		{"replaced", replacedHub},
		{"held by another", heldPort},
		{"refused", refusedPorts},
		{"break", breaks},
		{"held back", heldBack},
		{"stopped", stoppedWithBytes},
		{"stopped for nobody", stoppedForNobody},
	} {
		t.Run(test.name, func(t *testing.T) { test.try(t, g) })
	}
}

// settings wants the kernel to have a port raw, and at a rate.
func (g *guest) settings(t *testing.T, node string, baud int) {
	t.Helper()
	output, code := g.run(t, "stty", "-a", "-F", node)
	for _, want := range []string{fmt.Sprintf("speed %d baud", baud), "-icanon", "-echo", "-isig", "-opost", "-ixon", "-icrnl", "cs8", "-parenb", "-crtscts", "clocal"} {
		if !strings.Contains(strings.ReplaceAll(output, ";", " "), want) || code != 0 {
			t.Errorf("%s is not %q: %s", node, want, output)
		}
	}
}

// lockOf tells which pid is in the lock file of a port; "" if there is none.
func (g *guest) lockOf(t *testing.T, port string) string {
	t.Helper()
	output, code := g.run(t, "cat", "/var/lock/LCK.."+port)
	if code != 0 {
		return ""
	}
	return strings.TrimSpace(output)
}

// pid is the hub's.
func (h *hub) pid(t *testing.T) string {
	t.Helper()
	output, _ := h.guest.run(t, "pidof", "serialhub")
	return strings.TrimSpace(output)
}

// connect connects g.peer to the socket of portAndSocket.
func (h *hub) connect(t *testing.T) {
	t.Helper()
	h.hear(t, "msg=listening")
	h.guest.connect(t, "/tmp/b")
}

// twoPorts carries bytes of every value, and ends without leaving a trace.
func twoPorts(t *testing.T, g *guest) {
	h := g.startHub(t, bothPorts)
	h.waitState(t, "dbg", "up")
	exchange(t, g.serial, g.usb, 20_000)
	g.settings(t, serialNode, 115200)
	g.settings(t, usbNode, 57600)
	pid := h.pid(t)
	for _, port := range []string{"ttyS1", "ttyUSB0"} {
		if lock := g.lockOf(t, port); lock != pid {
			t.Errorf("the lock file of %s has %q; the hub is %s", port, lock, pid)
		}
	}
	for _, node := range []string{serialNode, usbNode} {
		output, code := g.run(t, "sh", "-c", "chmod 666 "+node+" && su nobody -s /bin/sh -c 'exec 3<>"+node+"'")
		if code == 0 || !strings.Contains(output, "busy") {
			t.Errorf("another user who opens %s gets %d: %s", node, code, output)
		}
	}
	h.await(t, "dbg", "has counted everything", func(l link) bool {
		return l.Ends["a"].Received == 20_000 && l.Ends["b"].Received == 20_000 && l.Ends["a"].Sent == 20_000 && l.Ends["b"].Sent == 20_000
	})
	h.stop(t)
	for _, port := range []string{"ttyS1", "ttyUSB0"} {
		if lock := g.lockOf(t, port); lock != "" {
			t.Errorf("the lock file of %s is still there, of %s", port, lock)
		}
	}
}

// unplugged has a port go and come back. It is opened as soon as it is there, and by the same name, which it does not
// get while anybody has the one before open.
func unplugged(t *testing.T, g *guest) {
	const seen, opened = time.Second, 2 * time.Second
	h := g.startHub(t, bothPorts)
	h.waitState(t, "dbg", "up")
	for round := range 5 {
		g.unplug(t)
		start := time.Now()
		l := h.await(t, "dbg", "has lost b, and says why", func(l link) bool {
			return l.Ends["b"].State == "retrying" && l.LastError.End == "b" && strings.Contains(l.LastError.Message, "plug")
		})
		took := time.Since(start)
		if took > seen {
			t.Errorf("round %d: the hub took %v to see that the port is unplugged", round, took)
		}
		if l.State != "retrying" || l.Ends["a"].State != "connected" {
			t.Errorf("round %d: without b, the link is %+v", round, l)
		}
		g.waitFile(t, usbNode, false)
		if lock := g.lockOf(t, "ttyUSB0"); lock != "" {
			t.Errorf("round %d: the lock file is still there, of %s", round, lock)
		}
		stale := fmt.Sprintf("nobody hears this, %d", round)
		if _, err := io.WriteString(g.serial, stale); err != nil {
			t.Fatal(err)
		}
		h.await(t, "dbg", "has dropped what was said to nobody", func(l link) bool { return l.Ends["a"].Discarded == (round+1)*len(stale) })

		g.plug(t)
		g.waitFile(t, usbNode, true)
		start = time.Now()
		h.waitState(t, "dbg", "up")
		tookBack := time.Since(start)
		if tookBack > opened {
			t.Errorf("round %d: the hub took %v to open the port that was plugged again", round, tookBack)
		}
		t.Logf("seen after %v, opened after %v", took.Round(time.Millisecond), tookBack.Round(time.Millisecond))
		g.settings(t, usbNode, 57600)
		exchange(t, g.serial, g.usb, 2000)
	}
	l := h.waitState(t, "dbg", "up")
	if l.Ends["a"].Connections != 1 || l.Ends["b"].Connections != 6 {
		t.Errorf("a should have stayed, and b have come 6 times: %+v", l)
	}
	h.stop(t)
}

// killedHub has a hub take over the ports, with their lock files, of one that was killed.
func killedHub(t *testing.T, g *guest) {
	first := g.startHub(t, bothPorts)
	first.waitState(t, "dbg", "up")
	before := first.pid(t)
	first.signal(t, syscall.SIGKILL)
	first.wait(t)
	if lock := g.lockOf(t, "ttyS1"); lock != before {
		t.Errorf("the lock file of the hub that was killed has %q, not %s", lock, before)
	}
	second := g.startHub(t, bothPorts)
	second.waitState(t, "dbg", "up")
	if lock, pid := g.lockOf(t, "ttyS1"), second.pid(t); lock != pid {
		t.Errorf("the lock file has %q; the hub is %s", lock, pid)
	}
	exchange(t, g.serial, g.usb, 2000)
	second.stop(t)
}

// replacedHub has the hub replace itself while bytes flow.
func replacedHub(t *testing.T, g *guest) {
	h := g.startHub(t, bothPorts)
	h.waitState(t, "dbg", "up")
	done := make(chan error, 1)
	go func() { done <- exchanged(g.serial, g.usb, 50_000) }()
	h.await(t, "dbg", "carries bytes", func(l link) bool { return l.Ends["a"].Sent > 0 && l.Ends["b"].Sent > 0 })
	h.signal(t, syscall.SIGUSR2)
	h.hear(t, "msg=started")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	l := h.waitState(t, "dbg", "up")
	if l.Ends["a"].Connections != 1 || l.Ends["b"].Connections != 1 {
		t.Errorf("the ports should have stayed open: %+v", l)
	}
	h.stop(t)
}

// heldPort has another program use a port without a lock, as getty does. The hub takes the port when that ends.
func heldPort(t *testing.T, g *guest) {
	other := g.echoing(t, serialNode)
	t.Cleanup(func() { other.signal(t, syscall.SIGKILL) })
	holder, _ := g.run(t, "pidof", "cat")
	h := g.startHub(t, "defaults: {restart: {delay: 100ms, max_delay: 100ms}}\n"+portAndSocket)
	h.wantError(t, "dbg", fmt.Sprintf("%s is in use by pid %s (cat)", serialNode, strings.TrimSpace(holder)))
	wantEcho(t, g.serial) // nothing that the hub does takes what is for the other
	h.connect(t)
	other.signal(t, syscall.SIGKILL)
	h.waitState(t, "dbg", "up")
	exchange(t, g.serial, g.peer, 2000)
	h.stop(t)
}

// refusedPorts are a port that this machine does not have, and a rate that the 16550 does not have.
func refusedPorts(t *testing.T, g *guest) {
	h := g.startHub(t, `links:
  - {name: none, a: {device: /dev/ttyS3}, b: /tmp/b}
  - {name: fast, a: {device: /dev/ttyS1, baud: 250000}, b: /tmp/c}
  - {name: file, a: {device: /dev/null}, b: /tmp/d}
  - {name: fine, a: {device: /dev/ttyUSB0, baud: 250000}, b: /tmp/e}`)
	for name, want := range map[string]string{
		"none": "there is no such port in this machine as /dev/ttyS3",
		"fast": "/dev/ttyS1 cannot have 250000 baud 8N1",
		"file": "/dev/null is a device of another kind, not a serial port",
	} {
		h.wantError(t, name, want)
	}
	h.waitState(t, "fine", "half")
	h.stop(t)
}

// lineControl reads the register of /dev/ttyS1 that has the break, LCR of the 16550.
func (g *guest) lineControl(t *testing.T) byte {
	t.Helper()
	output, code := g.run(t, "sh", "-c", "dd if=/dev/port bs=1 skip=$((0x2fb)) count=1 2>/dev/null")
	if code != 0 || len(output) != 1 {
		t.Fatalf("reading the line control register: %d, %q", code, output)
	}
	return output[0]
}

// breaks sends a break, after what was said before and before what is said after it; and hears one, as a byte of 0.
func breaks(t *testing.T, g *guest) {
	const inBreak = 0x40
	h := g.startHub(t, portAndSocket)
	h.connect(t)
	h.waitState(t, "dbg", "up")
	exchange(t, g.serial, g.peer, 1000)

	request := g.start(t, "wget", "-S", "-O", "-", "--post-data=", hubURL+"/links/dbg/break?end=a&duration=2s")
	eventually(t, "waiting for the break", func() error {
		if lcr := g.lineControl(t); lcr&inBreak == 0 {
			return fmt.Errorf("the line control register is %#x", lcr)
		}
		return nil
	})
	if output, code := request.wait(t); code != 0 || !strings.Contains(output, "HTTP/1.1 200") {
		t.Errorf("asking for a break ended with %d: %s", code, output)
	}
	if lcr := g.lineControl(t); lcr&inBreak != 0 {
		t.Errorf("the break has not ended: the line control register is %#x", lcr)
	}
	exchange(t, g.serial, g.peer, 1000)
	if output, code := g.run(t, "wget", "-S", "-O", "-", "--post-data=", hubURL+"/links/dbg/break?end=b"); code == 0 || !strings.Contains(output, "409 Conflict") {
		t.Errorf("asking for a break where there is no port ended with %d: %s", code, output)
	}

	if err := g.monitor.do("chardev-send-break", map[string]any{"id": "serial"}); err != nil {
		t.Fatal(err)
	}
	if err := wantHeard(g.peer, []byte{0}); err != nil {
		t.Errorf("a break that comes in: %v", err)
	}
	exchange(t, g.serial, g.peer, 1000)
	h.stop(t)
}

// heldBack has nobody read what a port sends, until whoever sends it is held back; and then hears all of it.
func heldBack(t *testing.T, g *guest) {
	const n = 1 << 20
	h := g.startHub(t, portAndSocket)
	h.connect(t)
	h.waitState(t, "dbg", "up")
	said := words('h', n)
	g.peer.SetDeadline(time.Now().Add(3 * patience))
	saying := make(chan error, 1)
	go func() {
		_, err := io.Copy(g.peer, bytes.NewReader(said))
		saying <- err
	}()
	before := -1
	h.await(t, "dbg", "is held back", func(l link) bool {
		now := l.Ends["a"].Sent
		stuck := now == before && l.Ends["b"].Received > now
		before = now
		return stuck
	})
	if before > 64<<10 {
		t.Errorf("the port, whose other side does not read, has taken %d bytes", before)
	}
	exchangeOne(t, g.serial, g.peer, "it hears still")
	start := time.Now()
	if err := errors.Join(wantHeard(g.serial, said), <-saying); err != nil {
		t.Fatal(err)
	}
	t.Logf("the port sent %d bytes in %v", n, time.Since(start).Round(time.Millisecond))
	exchange(t, g.serial, g.peer, 1000)
	h.stop(t)
}

// exchangeOne has one say something, and the other hear it.
func exchangeOne(t *testing.T, from, to line, text string) {
	t.Helper()
	if _, err := io.WriteString(from, text); err != nil {
		t.Fatal(err)
	}
	if err := wantHeard(to, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// fill says so much through a port that nobody reads that its queue is full, and tells what.
func (h *hub) fill(t *testing.T) []byte {
	t.Helper()
	const queue = 4000 // of the tty; what does not fit is in the hub's pipe
	said := words('s', 10_000)
	h.guest.peer.SetDeadline(time.Now().Add(patience))
	if _, err := h.guest.peer.Write(said); err != nil {
		t.Fatal(err)
	}
	h.await(t, "dbg", "is held back", func(l link) bool {
		return l.Ends["b"].Received == len(said) && l.Ends["a"].Sent >= queue && l.Ends["a"].Sent < len(said)
	})
	return said
}

// stoppedWithBytes stops the hub while the port has not sent what was said to it. All of it is sent.
func stoppedWithBytes(t *testing.T, g *guest) {
	h := g.startHub(t, portAndSocket)
	h.connect(t)
	h.waitState(t, "dbg", "up")
	said := h.fill(t)
	h.signal(t, syscall.SIGTERM)
	h.hear(t, "stopping")
	if err := wantHeard(g.serial, said); err != nil {
		t.Error(err)
	}
	h.ended(t)
}

// stoppedForNobody stops the hub while the port cannot send. It does not wait for the half a minute that the kernel
// would, and neither does the next who opens the port.
func stoppedForNobody(t *testing.T, g *guest) {
	const atMost = 15 * time.Second
	h := g.startHub(t, portAndSocket)
	h.connect(t)
	h.waitState(t, "dbg", "up")
	h.fill(t)
	start := time.Now()
	h.stop(t)
	ended := time.Since(start)
	next := g.startHub(t, portAndSocket)
	next.await(t, "dbg", "has its port", func(l link) bool { return l.Ends["a"].State == "connected" })
	took := time.Since(start)
	if took > atMost {
		t.Errorf("it took %v until the hub had ended and another had the port", took)
	}
	t.Logf("the hub ended after %v, the next one had the port after %v", ended.Round(time.Millisecond), took.Round(time.Millisecond))
	next.stop(t)
}
