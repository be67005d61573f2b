package ends

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"serialhub/internal/relay"
	"serialhub/internal/testenv"
)

// inSocat is what socat calls the other side of a kind of end, whose site is at an address or a path.
func inSocat(s site) string {
	switch s := s.(type) {
	case *listenSite:
		switch kind, _, _ := strings.Cut(strings.TrimPrefix(s.text, `{listen: "`), ":"); kind {
		case "unix":
			return "UNIX-CONNECT:" + s.address
		case "tcp":
			return "TCP:" + s.address
		case "tls":
			return "OPENSSL:" + s.address + ",verify=0"
		}
	case *connectSite:
		host, port, _ := strings.Cut(s.address, ":")
		switch kind, _, _ := strings.Cut(strings.TrimPrefix(s.text, `{connect: "`), ":"); kind {
		case "unix":
			return "UNIX-LISTEN:" + s.address + ",unlink-early"
		case "tcp":
			return "TCP-LISTEN:" + port + ",reuseaddr,bind=" + host
		case "tls":
			_, files, _ := strings.Cut(s.text, `ca: "`)
			files, _, _ = strings.Cut(files, `.ca.pem"`)
			return "OPENSSL-LISTEN:" + port + ",reuseaddr,verify=0,bind=" + host + ",cert=" + files + ".cert.pem,key=" + files + ".key.pem"
		}
	case *ptySite:
		return "FILE:" + s.path + ",raw,echo=0"
	case *deviceSite:
		return "PTY,ptmx,raw,echo=0,link=" + s.path
	}
	return ""
}

// process is a peer that another program is, with pipes to talk to it.
type process struct {
	*os.File          // what it reads
	out      *os.File // what it says
	cmd      *exec.Cmd
}

func (p *process) Read(buf []byte) (int, error) { return p.out.Read(buf) }

func (p *process) SetDeadline(d time.Time) error {
	if err := p.File.SetDeadline(d); err != nil {
		return err
	}
	return p.out.SetDeadline(d)
}

// Close kills the program.
func (p *process) Close() error {
	if p.cmd.ProcessState != nil {
		return nil
	}
	err := p.cmd.Process.Kill()
	p.cmd.Wait()
	p.File.Close()
	p.out.Close()
	return err
}

func startSocat(t *testing.T, address string) *process {
	t.Helper()
	in, toIt, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fromIt, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	complaints := &logBuffer{}
	cmd := exec.Command("socat", "STDIO", address)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, complaints
	err = cmd.Start()
	in.Close()
	out.Close()
	p := &process{File: toIt, out: fromIt, cmd: cmd}
	if err != nil {
		toIt.Close()
		fromIt.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close()
		if t.Failed() {
			t.Logf("socat %s: %s", address, complaints)
		}
	})
	return p
}

// Another program is at a, of each kind: socat. It is killed, and another one takes its place.
func TestSocat(t *testing.T) {
	testenv.Program(t, "socat")
	over(t, pairsWith(any), func(t *testing.T, p pair) {
		h := startHub(t, p, eager)
		address := inSocat(h.sites[relay.A])
		if address == "" {
			t.Skipf("socat is not asked for %s", p.a.name)
		}
		b := h.arrive(relay.B)
		for round := range uint64(2) {
			before := h.link().Ends[relay.A].Connections
			a := startSocat(t, address)
			h.waitConnected(relay.A, before+1)
			const n = 200_000
			a.SetDeadline(time.Now().Add(patience))
			b.SetDeadline(time.Now().Add(patience))
			if err := together(
				func() error { return whatFailed("a says", say(a, newStream(round), n)) },
				func() error { return whatFailed("b hears", hear(b, newStream(round), n)) },
				func() error { return whatFailed("b says", say(b, newStream(round+9), n)) },
				func() error { return whatFailed("a hears", hear(a, newStream(round+9), n)) },
			); err != nil {
				t.Fatalf("with socat for the %dth time: %v; %s", round+1, err, describe(h.link()))
			}
			h.leave(a)
			if p.a.name == "device" { // a link that nobody leads to any more stays; udev would remove it
				os.Remove(h.sites[relay.A].(*deviceSite).path)
			}
			h.waitState(h.empty(relay.A))
		}
		if l := h.link(); l.Ends[relay.B].Connections != 1 {
			t.Errorf("b should have stayed: %s", describe(l))
		}
	})
}
