package access

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/testenv"
)

// program is the program under test, built once.
var program string

// patience is how long a test waits for what should happen at once, on a machine that may be busy.
const patience = 30 * time.Second

// Tokens of the tests.
const (
	admin  = "admin-0123456789abcdef"
	reader = "reader-0123456789abcdef"
)

// hub is a hub that runs, with its API at the socket api and at a port, and one link, dbg, of the sockets a and b.
type hub struct {
	t     *testing.T
	dir   string
	tcp   string // host:port of the API
	limit int    // of descriptors, if it is not 0; set before the start
	cmd   *exec.Cmd
	ended chan struct{}
}

// startHub runs a hub until the test ends. Its config is made of api, the keys beside listen; the files that it names are there already, made by prepare.
func startHub(t *testing.T, api string, prepare ...func(h *hub)) *hub {
	t.Helper()
	h := &hub{t: t, dir: testenv.Dir(t), ended: make(chan struct{})}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.tcp = free.Addr().String()
	free.Close()
	for _, prepare := range prepare {
		prepare(h)
	}
	h.configure(api)
	log, err := os.Create(h.path("log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	line := []string{program, "-c", h.path("links.yaml")}
	if h.limit != 0 {
		if os.Geteuid() == 0 {
			line = append([]string{"setpriv", "--bounding-set=-sys_resource"}, line...) // root could raise the limit
		}
		line = append([]string{"prlimit", fmt.Sprintf("--nofile=%d:%[1]d", h.limit)}, line...)
	}
	h.cmd = exec.Command(line[0], line[1:]...)
	h.cmd.Stdout, h.cmd.Stderr = log, log
	h.cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(h.ended)
		h.cmd.Wait()
	}()
	t.Cleanup(h.end)
	h.eventually("the hub is ready", func() error {
		if status := h.ask("GET", "/readyz").status; status != http.StatusOK {
			return fmt.Errorf("status %d", status)
		}
		return nil
	})
	return h
}

// configure writes the config. With a listen of its own, api has that; else the hub listens at its port and its socket.
func (h *hub) configure(api string) {
	h.t.Helper()
	if !strings.HasPrefix(api, "listen:") {
		api = strings.TrimSuffix("listen: ['TCP', 'unix:api'], "+api, ", ")
	}
	api = strings.NewReplacer("TCP", h.tcp, "PORT", h.tcp[strings.LastIndex(h.tcp, ":")+1:]).Replace(api)
	h.write("links.yaml", "api: {"+api+"}\nlog: {format: json}\nlinks:\n  - {name: dbg, a: a, b: b}\n")
}

// withTokens has a token for each role.
func withTokens(h *hub) {
	h.write("tokens", "# of the tests\n"+admin+" admin ops\nread "+reader+" grafana\n")
}

func (h *hub) path(name string) string { return filepath.Join(h.dir, name) }

func (h *hub) write(name, text string) {
	h.t.Helper()
	testenv.WriteFile(h.t, h.path(name), text)
}

// log is what the hub has logged.
func (h *hub) log() string {
	text, _ := os.ReadFile(h.path("log"))
	return string(text)
}

// logs waits for a line that has all of these.
func (h *hub) logs(parts ...string) {
	h.t.Helper()
	h.eventually("the log", func() error {
		for line := range strings.Lines(h.log()) {
			found := 0
			for _, part := range parts {
				if strings.Contains(line, part) {
					found++
				}
			}
			if found == len(parts) {
				return nil
			}
		}
		return fmt.Errorf("it has no line with %q", parts)
	})
}

func (h *hub) eventually(what string, condition func() error) {
	h.t.Helper()
	testenv.Eventually(h.t, patience, what, func() error {
		select {
		case <-h.ended:
			return testenv.Hopeless(errors.New("the hub has ended"))
		default:
			return condition()
		}
	})
}

// end ends the hub, which must do so cleanly.
func (h *hub) end() {
	h.cmd.Process.Signal(unix.SIGTERM)
	select {
	case <-h.ended:
		if code := h.cmd.ProcessState.ExitCode(); code != 0 {
			h.t.Errorf("the hub has ended with %d", code)
		}
	case <-time.After(patience):
		h.t.Error("the hub does not end")
		h.cmd.Process.Kill()
		<-h.ended
	}
	if h.t.Failed() {
		h.t.Log(testenv.Tail(h.log()))
	}
}

// answer is one of the API.
type answer struct {
	status int // 0 if there was none
	header http.Header
	body   string
}

// ask asks at the unix socket.
func (h *hub) ask(method, path string) answer {
	h.t.Helper()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", h.path("api"))
	}}}
	return call(h.t, client, method, "http://localhost"+path, "")
}

// call makes a call with a token; "" for none.
func call(t testing.TB, client *http.Client, method, url, token string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		return answer{body: err.Error()}
	}
	return read(response)
}

// reload has the config read again, which ends with that status.
func (h *hub) reload(status int) {
	h.t.Helper()
	if got := h.ask("POST", "/reload"); got.status != status {
		h.t.Fatalf("the reload: %+v, want %d", got, status)
	}
}
