package e2e

import (
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"os/exec"
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
	more []string                             // what serialhub snippet is told beside, of the VM's side
	then func(t *testing.T, h *hub, g *guest) // what is to be done once the VM runs; nil if nothing is
	mute bool                                 // the guest cannot be spoken to
}

// ways are those of docs/ends.md that this machine can run.
func ways() []way {
	tty := func(h *hub) string { return filepath.Join(h.dir, "vm.tty") }
	end := func(format string) func(*hub, string) string {
		return func(h *hub, port string) string {
			return strings.NewReplacer("DIR", h.dir, "PORT", port).Replace(format)
		}
	}
	second := []string{"--port", "2"}
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
		{"the VM connects to a unix socket", end(`DIR/vm.sock`), nil, nil, false},
		{"the VM connects to a socket of an odd name", end(`"DIR/v m, 'x'=$1.sock"`), second, nil, false},
		{"the VM connects to an abstract socket", end(`"unix:@DIR,vm"`), nil, nil, false},
		{"the VM listens on a unix socket", end(`{connect: "unix:DIR/vm.sock"}`), second, nil, false},
		{"the VM listens on a TCP port", end(`{connect: "tcp:localhost:PORT"}`), nil, nil, false},
		{"the VM listens on a TCP port of an address", end(`{connect: "tcp:127.0.0.1:PORT"}`), second, nil, false},
		{"the VM connects to a TCP port", end(`{listen: "tcp:127.0.0.1:PORT"}`), nil, nil, false},
		{"the VM connects to a TCP port of all addresses", end(`{listen: "tcp::PORT"}`), []string{"--host", "127.0.0.1", "--port", "2"}, nil, false},
		// QEMU 7.2 gives its guest the first byte of what came over TLS, and the rest when there is more.
		{"the VM listens with TLS", end(`{connect: "tls:127.0.0.1:PORT", ca: ca-cert.pem, cert: client-cert.pem, key: client-key.pem}`), nil, nil, true},
		{"the VM connects with TLS", end(`{listen: "tls:127.0.0.1:PORT", cert: server-cert.pem, key: server-key.pem, client_ca: ca-cert.pem}`), second, nil, true},
		{"the VM opens the hub's pty", end(`{pty: DIR/vm.tty}`), nil, nil, false},
		{"the hub opens the VM's pty", end(`{device: DIR/vm.tty}`), second, linkPTY, false},
	}
}

// snippet is what serialhub snippet prints for end a of the link "vm", as a shell reads it that it is pasted into.
func (w way) snippet(t *testing.T, h *hub) []string {
	t.Helper()
	args := append([]string{"snippet", "vm", "--for", "qemu", "--end", "a", "--tls-dir", h.dir, "-c", filepath.Join(h.dir, "links.yaml")}, w.more...)
	printed, err := exec.Command(hubBinary, args...).Output()
	if err != nil {
		t.Fatalf("serialhub %q: %v", args, err)
	}
	words, err := exec.Command("sh", "-c", `eval "set -- $1"; printf '%s\n' "$@"`, "sh", string(printed)).Output()
	if err != nil {
		t.Fatalf("a shell does not take %s: %v", printed, err)
	}
	return strings.Split(strings.TrimSpace(string(words)), "\n")
}

// writeCredentials writes certificates for both sides of a connection, under the names that QEMU gives them.
func writeCredentials(t *testing.T, h *hub) {
	t.Helper()
	path := func(name string) string { return filepath.Join(h.dir, name+".pem") }
	ca := testenv.NewAuthority(t, "ca")
	testenv.WriteFile(t, path("ca-cert"), ca.PEM)
	for _, role := range []string{"server", "client"} {
		ca.Issue(t, role, false).Write(t, path(role+"-cert"), path(role+"-key"))
	}
}

// TestEnds joins a VM by every way that there is, with the options that serialhub snippet prints, with the test itself, moves data, and puts another VM in its place. Whoever is at the
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
				g := startGuestWith(t, fmt.Sprintf("vm%d", round), w.snippet(t, h), quietLink)
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
