package e2e

import (
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"serialhub/internal/testenv"
)

// way is one by which a VM's serial port and the hub come together.
type way struct {
	name string
	end  func(h *hub, port string) string     // the hub's side, as YAML
	link func(h *hub, port string) []string   // QEMU's side
	then func(t *testing.T, h *hub, g *guest) // what is to be done once the VM runs; nil if nothing is
	mute bool                                 // the guest cannot be spoken to
}

// chardev makes QEMU's options of a character device.
func chardev(device string) []string {
	return []string{"-chardev", device + ",id=link", "-serial", "chardev:link"}
}

// ways are those of docs/ends.md that this machine can run.
func ways() []way {
	socket := func(h *hub) string { return filepath.Join(h.dir, "vm.sock") }
	tty := func(h *hub) string { return filepath.Join(h.dir, "vm.tty") }
	// QEMU 7.2 cannot make a link to its pty.
	linkPTY := func(t *testing.T, h *hub, g *guest) {
		match, err := g.waitOutput(regexp.MustCompile(`char device redirected to (/dev/pts/\d+)`), 0)
		if err == nil {
			os.Remove(tty(h)) // of the VM before
			err = os.Symlink(match[1], tty(h))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return []way{
		{"the VM listens on a unix socket",
			func(h *hub, _ string) string { return fmt.Sprintf(`{connect: "unix:%s"}`, socket(h)) },
			func(h *hub, _ string) []string {
				return chardev("socket,server=on,wait=off,path=" + socket(h))
			}, nil, false},
		{"the VM listens on a TCP port",
			func(_ *hub, port string) string { return fmt.Sprintf(`{connect: "tcp:localhost:%s"}`, port) },
			func(_ *hub, port string) []string {
				return chardev("socket,server=on,wait=off,host=127.0.0.1,port=" + port)
			}, nil, false},
		{"the VM connects to a TCP port",
			func(_ *hub, port string) string { return fmt.Sprintf(`{listen: "tcp:127.0.0.1:%s"}`, port) },
			func(_ *hub, port string) []string {
				return chardev("socket,reconnect=1,host=127.0.0.1,port=" + port)
			}, nil, false},
		// QEMU 7.2 gives its guest the first byte of what came over TLS, and the rest when there is more.
		{"the VM listens with TLS",
			func(_ *hub, port string) string {
				return fmt.Sprintf(`{connect: "tls:127.0.0.1:%s", ca: ca-cert.pem, cert: client-cert.pem, key: client-key.pem}`, port)
			},
			func(h *hub, port string) []string {
				return append(credentials(h, "server"), chardev("socket,tls-creds=tls,server=on,wait=off,host=127.0.0.1,port="+port)...)
			}, nil, true},
		{"the VM connects with TLS",
			func(_ *hub, port string) string {
				return fmt.Sprintf(`{listen: "tls:127.0.0.1:%s", cert: server-cert.pem, key: server-key.pem, client_ca: ca-cert.pem}`, port)
			},
			func(h *hub, port string) []string {
				return append(credentials(h, "client"), chardev("socket,tls-creds=tls,reconnect=1,host=127.0.0.1,port="+port)...)
			}, nil, true},
		{"the VM opens the hub's pty",
			func(h *hub, _ string) string { return fmt.Sprintf(`{pty: %s}`, tty(h)) },
			func(h *hub, _ string) []string { return chardev("serial,path=" + tty(h)) }, nil, false},
		{"the hub opens the VM's pty",
			func(h *hub, _ string) string { return fmt.Sprintf(`{device: %s}`, tty(h)) },
			func(*hub, string) []string { return chardev("pty") },
			linkPTY, false},
	}
}

// credentials makes QEMU's options of the certificates in the hub's folder.
func credentials(h *hub, role string) []string {
	return []string{"-object", "tls-creds-x509,id=tls,verify-peer=on,endpoint=" + role + ",dir=" + h.dir}
}

// writeCredentials writes certificates for both sides of a connection, under the names that QEMU gives them.
func writeCredentials(t *testing.T, h *hub) {
	t.Helper()
	t.Helper()
	path := func(name string) string { return filepath.Join(h.dir, name+".pem") }
	ca := testenv.NewAuthority(t, "ca")
	testenv.WriteFile(t, path("ca-cert"), ca.PEM)
	for _, role := range []string{"server", "client"} {
		ca.Issue(t, role, false).Write(t, path(role+"-cert"), path(role+"-key"))
	}
}

// TestEnds joins a VM by every way that there is with the test itself, moves data, and puts another VM in its place. Whoever is at the
// other end stays.
func TestEnds(t *testing.T) {
	needTools(t)
	for _, w := range ways() {
		t.Run(strings.ReplaceAll(w.name, " ", "-"), func(t *testing.T) {
			h := newHub(t)
			writeCredentials(t, h)
			_, port, err := net.SplitHostPort(freeAddress(t))
			if err != nil {
				t.Fatal(err)
			}
			h.start(t, fmt.Sprintf("  - {name: vm, a: %s, b: test, restart: {max_delay: 1s}}\n", w.end(h, port)))
			eventually(t, "waiting for the hub's own end", func() error {
				status, err := h.askStatus("vm")
				if err == nil && status.Ends["b"].State != "waiting" {
					err = fmt.Errorf("it is %+v", status)
				}
				return err
			})
			test := dial(t, filepath.Join(h.dir, "test"))
			for round := range 2 {
				g := startGuestWith(t, fmt.Sprintf("vm%d", round), w.link(h, port), quietLink)
				if w.then != nil {
					w.then(t, h, g)
				}
				h.waitState(t, "vm", "up")
				converse(t, g, test, w.mute)
				g.kill(t)
				h.waitStatus(t, "vm", "the VM has left", func(s linkStatus) bool { return s.Ends["a"].State != "connected" })
			}
			if end := h.status(t, "vm").Ends["b"]; end.Connections != 1 {
				t.Errorf("the test at the other end had to connect %d times", end.Connections)
			}
		})
	}
}

// converse sends random data from a guest to the test, and back unless the guest is mute.
func converse(t *testing.T, g *guest, test *client, mute bool) {
	t.Helper()
	const size = 8 << 10
	before := test.received.length()
	sum := g.run(t, makeData(size)+send)
	data := test.take(t, before, size)
	if got := fmt.Sprintf("%x  -", sha256.Sum256(data)); got != sum {
		t.Errorf("the guest sent %s, and %s came", sum, got)
	}
	if mute {
		return
	}
	back := inBackground(g, receive(size))
	test.write(t, string(data))
	if got := back.wait(t); got != sum {
		t.Errorf("%s was sent to the guest, and it got %s", sum, got)
	}
}
