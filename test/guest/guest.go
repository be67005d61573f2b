package guest

import (
	"bufio"
	"bytes"
	"encoding/gob"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"serialhub/internal/testenv"
)

// initramfs is what guests boot with, made once for all tests.
var initramfs string

// The guest's serial devices. The first is a 16550; the second can be unplugged. It comes back by the same name only if
// whoever had it open has closed it.
const (
	serialNode = "/dev/ttyS1"
	usbNode    = "/dev/ttyUSB0"
)

// lineNames are the sockets that QEMU connects to when it starts.
var lineNames = []string{"control", "monitor", "serial", "usb", "peer"}

// guest is a QEMU with a kernel in it. The test that started it owns it; it is killed at that test's end.
type guest struct {
	// serial and usb are the other sides of the guest's serial devices. While nobody reads what it says to usb, and
	// the socket's buffer is full, the whole guest stands still.
	serial, usb net.Conn
	// peer is the other side of what connect has connected in the guest.
	peer net.Conn

	qemu    *exec.Cmd
	folder  string // of the sockets that QEMU connects to
	monitor *monitor
	console bytes.Buffer  // the kernel's words, and QEMU's; to be read after exited only
	exited  chan struct{} // closed when QEMU is reaped

	asking   sync.Mutex // apart from mu: what is asked may have to wait until what is said has been taken in
	requests *gob.Encoder

	mu        sync.Mutex
	processes map[int]*process // those that have not ended
	last      int              // the number of the newest
	err       error            // why no more can be heard
}

// startGuest boots a guest, and returns when it takes commands.
func startGuest(t *testing.T) *guest {
	t.Helper()
	needTools(t)
	started := time.Now()
	g := &guest{folder: testenv.Dir(t), exited: make(chan struct{}), processes: make(map[int]*process)}
	lines := make(map[string]*net.UnixListener)
	for _, name := range lineNames {
		listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: g.socket(name), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		lines[name] = listener
	}
	g.startQEMU(t)
	control := g.accept(t, lines["control"])
	g.serial, g.usb, g.peer = g.accept(t, lines["serial"]), g.accept(t, lines["usb"]), g.accept(t, lines["peer"])
	g.monitor = newMonitor(t, g.accept(t, lines["monitor"]))

	control.SetReadDeadline(time.Now().Add(patience))
	replies := gob.NewDecoder(bufio.NewReader(control))
	var greeting reply
	if err := replies.Decode(&greeting); err != nil {
		t.Fatalf("booting: %v", err)
	}
	control.SetReadDeadline(time.Time{})
	g.requests = gob.NewEncoder(control)
	go g.listen(replies)
	g.waitFile(t, usbNode, true)
	t.Logf("the guest booted in %v", time.Since(started).Round(time.Millisecond))
	return g
}

// socket is where QEMU connects to.
func (g *guest) socket(name string) string { return filepath.Join(g.folder, name) }

// startQEMU starts QEMU, and sees to its end.
func (g *guest) startQEMU(t *testing.T) {
	t.Helper()
	args := []string{
		"-machine", "pc", "-accel", "tcg", "-cpu", "max", "-m", "512", "-nodefaults", "-no-reboot", "-display", "none",
		"-kernel", artefact("vmlinux"), "-initrd", initramfs,
		"-append", "console=ttyS0 quiet panic=-1 mitigations=off",
		"-serial", "stdio",
		"-serial", "chardev:serial",
		"-device", "virtio-serial", "-device", "virtserialport,nr=1,chardev=control",
		"-device", "virtserialport,nr=2,chardev=peer",
		"-device", "qemu-xhci", "-device", "usb-serial,id=" + usbDevice + ",chardev=usb,always-plugged=on",
		"-mon", "monitor,mode=control",
	}
	for _, name := range lineNames {
		args = append(args, "-chardev", fmt.Sprintf("socket,id=%s,path=%s", name, g.socket(name)))
	}
	g.qemu = exec.Command("qemu-system-x86_64", args...)
	g.qemu.Stdout, g.qemu.Stderr = &g.console, &g.console
	// A test binary that dies runs no cleanup, and must leave no QEMU behind.
	g.qemu.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := g.qemu.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		g.qemu.Wait()
		close(g.exited)
	}()
	t.Cleanup(func() {
		g.qemu.Process.Kill()
		<-g.exited
		if t.Failed() {
			t.Logf("the guest's console:\n%s", testenv.Tail(g.console.String()))
		}
	})
}

// accept takes in a connection of QEMU's, which makes all of them when it starts.
func (g *guest) accept(t *testing.T, listener *net.UnixListener) net.Conn {
	t.Helper()
	accepted := make(chan struct{})
	defer close(accepted)
	go func() {
		select {
		case <-g.exited:
			listener.Close()
		case <-accepted:
		}
	}()
	listener.SetDeadline(time.Now().Add(patience))
	conn, err := listener.Accept()
	if err != nil {
		t.Fatalf("QEMU has not connected: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}
