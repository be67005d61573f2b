package main_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
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

	"serialhub/internal/testenv"
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
	file := writeConfig(t, "api: {listen: unix:api}\nlog: {format: json}\nlinks:\n  - {name: dbg, a: a, b: b}\n")
	return startCommand(t, filepath.Dir(file), append([]string{binary, "-c", file}, args...)...)
}

// writeConfig writes a config into a folder of its own.
func writeConfig(t *testing.T, text string) (file string) {
	t.Helper()
	file = filepath.Join(testenv.Dir(t), "links.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// startCommand starts a hub whose API's socket is in a folder, and waits until it is ready.
func startCommand(t *testing.T, dir string, line ...string) *process {
	t.Helper()
	p := spawn(t, dir, line...)
	p.until("ready", func() bool { return p.get("/readyz") == http.StatusOK })
	return p
}

// spawn starts a hub whose API's socket is to be in a folder.
func spawn(t *testing.T, dir string, line ...string) *process {
	t.Helper()
	p := &process{t: t, dir: dir, log: &safeBuffer{}, ended: make(chan error, 1)}
	p.cmd = exec.Command(line[0], line[1:]...)
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
	})
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

// write replaces the config; links are its lines after “links:”.
func (p *process) write(links string) {
	p.t.Helper()
	text := "api: {listen: unix:api}\nlog: {format: json}\nlinks:\n" + links
	if err := os.WriteFile(filepath.Join(p.dir, "links.yaml"), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) logs(text string) {
	p.t.Helper()
	p.until("logging "+text, func() bool { return strings.Contains(p.log.String(), text) })
}

// TestHangupReloads edits the file and sends SIGHUP, with good files and bad ones. The link that stays is not disturbed.
func TestHangupReloads(t *testing.T) {
	p := start(t)
	a, b := p.dial("a"), p.dial("b")
	p.write("  - {name: dbg, a: a, b: b}\n  - {name: more, a: c, b: d}\n")
	p.cmd.Process.Signal(syscall.SIGHUP)
	p.until("reloaded", func() bool { return p.get("/links/more") == http.StatusOK })
	p.write("  - {name: dbg, a: a, b: b, c: d}\n")
	p.cmd.Process.Signal(syscall.SIGHUP)
	p.logs(`"msg":"fault in the config","line":4,"column":29,"key":"links[0].c","error":"unknown key`)
	if got := p.get("/links/more"); got != http.StatusOK {
		t.Errorf("after a bad file: %d", got)
	}
	p.write("  - {name: dbg, a: a, b: b}\n")
	p.cmd.Process.Signal(syscall.SIGHUP)
	p.until("reloaded", func() bool { return p.get("/links/more") == http.StatusNotFound })
	if _, err := a.Write([]byte("undisturbed")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 11)
	if _, err := io.ReadFull(b, got); err != nil || string(got) != "undisturbed" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestWatchReloads(t *testing.T) {
	p := start(t, "--watch")
	p.write("  - {name: dbg, a: a, b: b}\n  - {name: more, a: c, b: d}\n")
	p.until("reloaded", func() bool { return p.get("/links/more") == http.StatusOK })
}

// TestReloadMovesTheAPI changes the API's address, and the log's format.
func TestReloadMovesTheAPI(t *testing.T) {
	p := start(t)
	text := "api: {listen: unix:/nonexistent/api}\nlinks: []\n"
	if err := os.WriteFile(filepath.Join(p.dir, "links.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.cmd.Process.Signal(syscall.SIGHUP)
	p.logs(`config not reloaded, and nothing was changed","error":"the API cannot listen: the folder /nonexistent does not exist`)
	if got := p.get("/links/dbg"); got != http.StatusOK {
		t.Errorf("after a reload that failed: %d", got)
	}
	text = "api: {listen: [unix:api, unix:second]}\nlinks: []\n"
	if err := os.WriteFile(filepath.Join(p.dir, "links.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.cmd.Process.Signal(syscall.SIGHUP)
	p.logs(`level=INFO msg="config reloaded" added="" removed=dbg`)
	p.logs(p.dir + "/second")
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
		{"an unknown command", []string{"xyzzy"}, "", 2, []string{`"xyzzy" is not a command; serialhub --help lists them`}},
		{"a mistyped command", []string{"satus"}, "", 2, []string{`"satus" is not a command; did you mean status?`}},
		{"a file without -c", []string{good}, "", 2, []string{"to run a hub on that file: serialhub -c " + good}},
		{"the version as a flag", []string{"--version"}, "", 0, []string{"serialhub version "}},
		{"an API that cannot listen", []string{"-c", good}, "SERIALHUB_API_LISTEN=unix:/nonexistent/api", 1, []string{"mkdir -p /nonexistent"}},
		{"a good file", []string{"check", "-c", good}, "", 0, []string{good + ": no faults, 0 links"}},
		{"a wrong file", []string{"check", "-c", wrong}, "", 2, []string{":1:1: lonks: unknown key; did you mean links?\n    1 | lonks: []\n      | ^", ":2:9: links[0].a: the end is missing"}},
		{"no file to check", []string{"check"}, "", 2, []string{"serialhub check -c links.yaml"}},
		{"the version", []string{"version"}, "", 0, []string{"serialhub "}},
		{"help about no command", []string{"help", "stauts"}, "", 2, []string{`"stauts" is not a command; did you mean status?`}},
		{"help about two", []string{"help", "status", "dbg"}, "", 2, []string{`help takes one command, and "dbg" is one word too many`}},
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

// TestReloadsBesideTraffic reloads 200 good and bad files, while 100 MB flow both ways over a link that does not change.
func TestReloadsBesideTraffic(t *testing.T) {
	p := start(t)
	a, b := p.dial("a"), p.dial("b")
	const size = 100 << 20
	hashes := make(chan [2][sha256.Size]byte, 2)
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		sent, got := sha256.New(), sha256.New()
		done := make(chan error, 2)
		go func() {
			random := rand.New(rand.NewPCG(uint64(len(hashes)), 1))
			chunk := make([]byte, 70_000)
			for rest := size; rest > 0; {
				piece := chunk[:min(1+random.IntN(len(chunk)), rest)]
				for i := range piece {
					piece[i] = byte(random.Uint32())
				}
				sent.Write(piece)
				way[0].SetDeadline(time.Now().Add(patience))
				if _, err := way[0].Write(piece); err != nil {
					done <- err
					return
				}
				rest -= len(piece)
			}
			done <- nil
		}()
		go func() {
			chunk := make([]byte, 64<<10)
			for rest := size; rest > 0; {
				way[1].SetReadDeadline(time.Now().Add(patience))
				n, err := way[1].Read(chunk[:min(len(chunk), rest)])
				if err != nil {
					done <- err
					return
				}
				got.Write(chunk[:n])
				rest -= n
			}
			done <- nil
		}()
		go func() {
			for range 2 {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
			hashes <- [2][sha256.Size]byte{[sha256.Size]byte(sent.Sum(nil)), [sha256.Size]byte(got.Sum(nil))}
		}()
	}
	random := rand.New(rand.NewPCG(5, 6))
	for i := range 200 {
		links := "  - {name: dbg, a: a, b: b}\n"
		for j := range random.IntN(5) {
			links = fmt.Sprintf("  - {name: l%d, a: s%d, b: t%d}\n", j, random.IntN(5)*10+j, j) + links
		}
		reloads := `"msg":"config reloaded"`
		if random.IntN(3) == 0 {
			links += []string{"  - {name: dbg, a: x, b: y}\n", "  - [\n", "\t- tab\n", "  - {name: z, a: z}\n"}[random.IntN(4)]
			reloads = `"msg":"config not reloaded`
		}
		p.write(links)
		before := strings.Count(p.log.String(), reloads)
		p.cmd.Process.Signal(syscall.SIGHUP)
		p.until(fmt.Sprintf("reloaded for the %dth time", i), func() bool { return strings.Count(p.log.String(), reloads) > before })
	}
	for range 2 {
		if pair := <-hashes; pair[0] != pair[1] {
			t.Error("what arrived is not what was sent")
		}
	}
}
