package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/client"
	"serialhub/internal/testenv"
)

// program is the program under test, built once.
var program string

// patience is how long a test waits for what should happen at once, on a machine that may be busy.
const patience = 30 * time.Second

// hub is a hub that runs, with its API at the socket api and at a port of 127.0.0.1.
type hub struct {
	t     *testing.T
	dir   string
	tcp   string // host:port of the API
	cmd   *exec.Cmd
	ended chan struct{}
	dead  bool // it was killed
	http  *http.Client
}

// oneLink is a link of two sockets; %s are more keys of it.
const oneLink = "  - {name: dbg, a: DIR/a, b: DIR/b%s}\n"

// link is a link of two sockets, with more keys.
func link(keys ...string) string {
	return fmt.Sprintf(oneLink, strings.Join(append([]string{""}, keys...), ", "))
}

// startHub runs a hub with links, in which DIR is its folder, until the test ends.
func startHub(t *testing.T, links string) *hub {
	t.Helper()
	h := &hub{t: t, dir: testenv.Dir(t)}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.tcp = free.Addr().String()
	free.Close()
	h.write("links.yaml", fmt.Sprintf("api: {listen: ['unix:DIR/api', '%s']}\nlinks:\n%s", h.tcp, links))
	h.http = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", h.path("api"))
	}}}
	h.launch()
	t.Cleanup(h.end)
	return h
}

// launch runs it, for the first time or again, and waits until it is ready.
func (h *hub) launch() {
	h.t.Helper()
	log, err := os.OpenFile(h.path("log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		h.t.Fatal(err)
	}
	defer log.Close()
	h.cmd, h.ended, h.dead = exec.Command(program, "-c", h.path("links.yaml")), make(chan struct{}), false
	h.cmd.Stdout, h.cmd.Stderr = log, log
	h.cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := h.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	go func(cmd *exec.Cmd, ended chan<- struct{}) {
		defer close(ended)
		cmd.Wait()
	}(h.cmd, h.ended)
	h.eventually("the hub is ready", func() error { return h.get("/readyz", nil) })
}

// reload has the hub take other links, and returns when it has.
func (h *hub) reload(links string) {
	h.t.Helper()
	h.write("links.yaml", fmt.Sprintf("api: {listen: ['unix:DIR/api', '%s']}\nlinks:\n%s", h.tcp, links))
	response, err := h.http.Post("http://localhost/reload", "", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		h.t.Fatalf("the reload is answered by %s", response.Status)
	}
}

// end ends the hub, if it runs still, and tells what it has logged if the test has failed.
func (h *hub) end() {
	h.stop()
	if code := h.cmd.ProcessState.ExitCode(); code != 0 && !h.dead {
		h.t.Errorf("the hub ended with %s", h.cmd.ProcessState)
	}
	if log, err := os.ReadFile(h.path("log")); err == nil && h.t.Failed() {
		h.t.Logf("the hub's log:\n%s", testenv.Tail(string(log)))
	}
}

// stop has the hub end, and returns how long that took.
func (h *hub) stop() time.Duration {
	h.t.Helper()
	begin := time.Now()
	h.cmd.Process.Signal(unix.SIGTERM)
	select {
	case <-h.ended:
	case <-time.After(patience):
		h.t.Error("the hub does not end")
		h.cmd.Process.Kill()
		<-h.ended
	}
	return time.Since(begin)
}

// kill ends the hub without a word.
func (h *hub) kill() {
	h.dead = true
	h.cmd.Process.Kill()
	<-h.ended
}

func (h *hub) path(name string) string { return filepath.Join(h.dir, name) }

// write writes a text into the hub's folder; DIR in it is that.
func (h *hub) write(name, text string) {
	h.t.Helper()
	testenv.WriteFile(h.t, h.path(name), strings.ReplaceAll(text, "DIR", h.dir))
}

func (h *hub) eventually(what string, condition func() error) {
	h.t.Helper()
	testenv.Eventually(h.t, patience, "waiting until "+what, condition)
}

// get asks the API; any answer but 200 is an error.
func (h *hub) get(path string, answer any) error {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return err
	}
	response, err := h.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	if err == nil && answer != nil {
		err = json.Unmarshal(body, answer)
	}
	return err
}

// stream begins a tap as curl does. The answer is closed with the test.
func (h *hub) stream(query string) io.ReadCloser {
	h.t.Helper()
	response, err := h.http.Get("http://localhost/links/dbg/tap?" + query)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { response.Body.Close() })
	if response.StatusCode != http.StatusOK {
		h.t.Fatalf("a tap with %s: %s", query, response.Status)
	}
	return response.Body
}

// status is what the tests want to know of a link.
type status struct {
	State string
	Ends  map[string]struct {
		Peer *struct {
			PID     int
			Command string
			Address string
		}
		ReceivedBytes int64 `json:"received_bytes"`
		SentBytes     int64 `json:"sent_bytes"`
	}
	Transcript *struct{ File, State, Error string }
}

// waitLink waits until the link is as it should be.
func (h *hub) waitLink(what string, holds func(status) bool) (s status) {
	h.t.Helper()
	h.eventually("the link is "+what, func() error {
		s = status{}
		if err := h.get("/links/dbg", &s); err != nil {
			return err
		}
		if !holds(s) {
			return fmt.Errorf("it is %+v", s)
		}
		return nil
	})
	return s
}

func (h *hub) waitState(state string) {
	h.t.Helper()
	h.waitLink(state, func(s status) bool { return s.State == state })
}

// dial connects a peer to an end, which is closed with the test.
func (h *hub) dial(end string) net.Conn {
	h.t.Helper()
	conn, err := net.Dial("unix", h.path(end))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	return conn
}

// dialBoth connects a peer to each end.
func (h *hub) dialBoth() (a, b net.Conn) {
	h.t.Helper()
	a, b = h.dial("a"), h.dial("b")
	h.waitState("up")
	return a, b
}

// client is a client of the hub, which lets go of its connections with the test.
func (h *hub) client() *client.Client {
	c := client.New(client.Place{Addresses: []client.Address{{Network: "unix", Address: h.path("api")}}, By: "the test"}, "")
	h.t.Cleanup(c.Close)
	return c
}

// descriptors lists what the hub has open, by kind, but for pipes, of which it tells how many; and how many tapes are in its memory.
func (h *hub) descriptors() (open string, pipes, tapes int) {
	h.t.Helper()
	proc := "/proc/" + strconv.Itoa(h.cmd.Process.Pid)
	fds, err := os.ReadDir(proc + "/fd")
	if err != nil {
		h.t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, fd := range fds {
		name, err := os.Readlink(proc + "/fd/" + fd.Name())
		if err != nil {
			continue // it has just been closed
		}
		kind, _, _ := strings.Cut(name, "[")
		kinds[kind]++
	}
	pipes = kinds["pipe:"]
	delete(kinds, "pipe:")
	maps, err := os.ReadFile(proc + "/maps")
	if err != nil {
		h.t.Fatal(err)
	}
	return fmt.Sprint(kinds), pipes, strings.Count(string(maps), "serialhub-tape")
}
