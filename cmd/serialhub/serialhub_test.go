package main_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long a test waits for what should happen at once, on a machine that may be busy.
const patience = 30 * time.Second

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "serialhub")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "serialhub")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		panic(string(out))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// process is a running hub.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	dir   string
	log   *safeBuffer
	ended chan error
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}
func (s *safeBuffer) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

// start runs a hub on one link, whose API and ends are sockets in a folder of its own, and waits until it is ready.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	dir, err := os.MkdirTemp("", "hub")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "links.yaml")
	text := "api: {listen: unix:api}\nlog: {format: json}\nlinks:\n  - {name: dbg, a: a, b: b}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, dir: dir, log: &safeBuffer{}, ended: make(chan error, 1)}
	p.cmd = exec.Command(binary, append([]string{"-c", file}, args...)...)
	p.cmd.Stderr = p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		if t.Failed() {
			t.Log(p.log.String())
		}
		os.RemoveAll(dir)
	})
	p.until("ready", func() bool { return p.get("/readyz") == http.StatusOK })
	return p
}

// until waits for a condition, and fails if the hub ends before.
func (p *process) until(what string, condition func() bool) {
	p.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case err := <-p.ended:
			p.t.Fatalf("the hub ended with %v before it was %s", err, what)
		case <-deadline:
			p.t.Fatalf("waited in vain until the hub is %s", what)
		}
	}
}

// get asks the API for a path and returns the status, or 0 if nobody answers.
func (p *process) get(path string) int {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(p.dir, "api"))
	}}
	response, err := (&http.Client{Transport: transport, Timeout: patience}).Get("http://localhost" + path)
	if err != nil {
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

func (p *process) dial(end string) net.Conn {
	p.t.Helper()
	conn, err := net.Dial("unix", filepath.Join(p.dir, end))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// exit waits for the end of the hub, and checks its code.
func (p *process) exit(code int) {
	p.t.Helper()
	select {
	case err := <-p.ended:
		var exit *exec.ExitError
		if got := 0; err != nil && !errors.As(err, &exit) || exit != nil && exit.ExitCode() != code || exit == nil && got != code {
			p.t.Errorf("the hub ended with %v, want exit code %d", err, code)
		}
	case <-time.After(patience):
		p.t.Fatal("the hub does not end")
	}
}

func TestHubJoinsAndStops(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			p := start(t)
			a, b := p.dial("a"), p.dial("b")
			text := strings.Repeat("to be delivered ", 1000)
			if _, err := a.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
			if err := p.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(b)
			if err != nil || string(got) != text {
				t.Errorf("%d of %d bytes arrived, %v", len(got), len(text), err)
			}
			p.exit(0)
			if entries, _ := filepath.Glob(filepath.Join(p.dir, "*")); len(entries) != 1 {
				t.Errorf("beside the config, there is still %v", entries)
			}
			for _, line := range []string{`"msg":"peer connected","link":"dbg","end":"a","peer_pid":`, `"msg":"stopped"`} {
				if !strings.Contains(p.log.String(), line) {
					t.Errorf("the log does not say %s", line)
				}
			}
		})
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	p := start(t)
	a, _ := p.dial("a"), p.dial("b")
	a.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	if _, err := a.Write(make([]byte, 8<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the wire should be full, but the write gave %v", err)
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.until("stopping", func() bool { return strings.Contains(p.log.String(), "stopping") })
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.exit(1)
}

func TestHangupDoesNotEndTheHub(t *testing.T) {
	p := start(t)
	p.cmd.Process.Signal(syscall.SIGHUP)
	p.until("told", func() bool { return strings.Contains(p.log.String(), "SIGHUP ignored") })
	if status := p.get("/readyz"); status != http.StatusOK {
		t.Errorf("after SIGHUP: %d", status)
	}
}

// TestKilledHubLeavesNothingInTheWay starts a second hub where the first one was killed.
func TestKilledHubLeavesNothingInTheWay(t *testing.T) {
	p := start(t)
	p.cmd.Process.Kill()
	<-p.ended
	again := exec.Command(binary, "-c", filepath.Join(p.dir, "links.yaml"))
	again.Stderr = p.log
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	defer again.Wait()
	defer again.Process.Kill()
	p.ended = make(chan error)
	p.until("ready again", func() bool { return p.get("/readyz") == http.StatusOK })
}

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.yaml", "links: []\n")
	wrong := write("wrong.yaml", "lonks: []\nlinks: [{name: x}]\n")
	tests := []struct {
		name string
		args []string
		env  string
		code int
		says []string
	}{
		{"no config", nil, "", 2, []string{"serialhub -c links.yaml"}},
		{"a missing config", []string{"-c", filepath.Join(dir, "none")}, "", 2, []string{"no such file"}},
		{"a wrong config", []string{"-c", wrong}, "", 2, []string{wrong + ":1:1: lonks: unknown key"}},
		{"a wrong level", []string{"-c", good, "--log-level", "loud"}, "", 2, []string{"--log-level", "none of debug, info, warn, error"}},
		{"a wrong format", []string{"-c", good, "--log-format", "xml"}, "", 2, []string{"--log-format"}},
		{"an unknown flag", []string{"--wat"}, "", 2, []string{"--wat"}},
		{"an unknown command", []string{"wat"}, "", 2, []string{"wat"}},
		{"an API that cannot listen", []string{"-c", good}, "SERIALHUB_API_LISTEN=unix:/nonexistent/api", 1, []string{"mkdir -p /nonexistent"}},
		{"the version", []string{"version"}, "", 0, []string{"serialhub "}},
		{"help", []string{"--help"}, "", 0, []string{"--config", "curl"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cmd := exec.Command(binary, test.args...)
			cmd.Env = append(os.Environ(), test.env)
			out, err := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != test.code {
				t.Errorf("exit code %d (%v), want %d", code, err, test.code)
			}
			for _, says := range test.says {
				if !strings.Contains(string(out), says) {
					t.Errorf("it says %q, which does not contain %q", out, says)
				}
			}
		})
	}
}
