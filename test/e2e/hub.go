package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"serialhub/internal/testenv"
)

// hubBinary is the hub under test, built once for all tests.
var hubBinary string

// hub is the hub under test, a process of its own. The test that started it owns
// it; at that test's end it is asked to stop and must do so with exit status 0.
type hub struct {
	process *exec.Cmd
	api     string
	dir     string // holds the sockets, the configuration and the log
	exited  chan struct{}
}

// linkStatus is what the hub tells of a link.
type linkStatus struct {
	Name  string               `json:"name"`
	State string               `json:"state"`
	Ends  map[string]endStatus `json:"ends"`
}

// endStatus is what the hub tells of one end of a link.
type endStatus struct {
	State          string `json:"state"`
	Connections    uint64 `json:"connections"`
	ReceivedBytes  uint64 `json:"received_bytes"`
	SentBytes      uint64 `json:"sent_bytes"`
	DiscardedBytes uint64 `json:"discarded_bytes"`
	Peer           peer   `json:"peer"`
}

// peer is the process at an end; PID 0 means nobody.
type peer struct {
	PID     int    `json:"pid"`
	Command string `json:"command"`
}

// startHub starts a hub with the given links and returns when it is ready.
func startHub(t *testing.T, links ...string) *hub {
	t.Helper()
	var config strings.Builder
	for _, link := range links {
		fmt.Fprintf(&config, "  - {name: %s, a: %[1]s.a, b: %[1]s.b}\n", link)
	}
	h := newHub(t)
	h.start(t, config.String())
	eventually(t, "waiting for the hub to be ready", func() error {
		_, err := h.get("/readyz")
		return err
	})
	return h
}

// newHub makes a folder for a hub that is still to be started.
func newHub(t *testing.T) *hub {
	t.Helper()
	return &hub{dir: testenv.Dir(t), exited: make(chan struct{})}
}

// start starts the hub with links as the configuration's lines for them.
func (h *hub) start(t *testing.T, links string) {
	t.Helper()
	address := freeAddress(t)
	h.api = "http://" + address
	configFile := filepath.Join(h.dir, "links.yaml")
	if err := os.WriteFile(configFile, []byte("api:\n  listen: "+address+"\nlinks:\n"+links), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(h.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()

	h.process = exec.Command(hubBinary, "-c", configFile)
	h.process.Stdout, h.process.Stderr = log, log
	h.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := h.process.Start(); err != nil {
		t.Fatal("starting the hub: ", err)
	}
	go func() {
		h.process.Wait()
		close(h.exited)
	}()
	t.Cleanup(func() {
		h.stop(t)
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the hub's log:\n%s", testenv.Tail(string(text)))
		}
	})
}

// freeAddress is an address of this machine that nobody listens on just now.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// socket is the path of the socket that the hub listens on for one end of a link.
func (h *hub) socket(link, end string) string {
	return filepath.Join(h.dir, link+"."+end)
}

// get asks the REST API; an answer other than 200 is an error that quotes it.
func (h *hub) get(path string) ([]byte, error) {
	select {
	case <-h.exited:
		return nil, testenv.Hopeless(fmt.Errorf("the hub has exited: %v", h.process.ProcessState))
	default:
	}
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(h.api + path)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s: %s", path, response.Status, body)
	}
	return body, nil
}

// status is what the hub tells of a link now.
func (h *hub) status(t *testing.T, link string) linkStatus {
	t.Helper()
	status, err := h.askStatus(link)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

func (h *hub) askStatus(link string) (linkStatus, error) {
	var status linkStatus
	body, err := h.get("/links/" + link)
	if err != nil {
		return status, err
	}
	if err := json.Unmarshal(body, &status); err != nil {
		return status, fmt.Errorf("GET /links/%s: %w in %s", link, err, body)
	}
	return status, nil
}

// waitStatus waits until what the hub tells of a link is as wanted; the word for
// that is the test's own.
func (h *hub) waitStatus(t *testing.T, link, wanted string, accept func(linkStatus) bool) linkStatus {
	t.Helper()
	var status linkStatus
	eventually(t, "waiting until "+wanted, func() (err error) {
		status, err = h.askStatus(link)
		if err == nil && !accept(status) {
			err = fmt.Errorf("link %s is %+v", link, status)
		}
		return err
	})
	return status
}

// waitState waits until a link is "waiting", "half" or "up".
func (h *hub) waitState(t *testing.T, link, state string) linkStatus {
	t.Helper()
	return h.waitStatus(t, link, "link "+link+" is "+state, func(status linkStatus) bool {
		return status.State == state
	})
}

// reset asks the hub to drop the connections of a link: of one end, or of both
// if end is empty.
func (h *hub) reset(t *testing.T, link, end string) {
	t.Helper()
	path := "/links/" + link + "/reset"
	if end != "" {
		path += "?end=" + end
	}
	if _, err := h.get(path); err != nil {
		t.Fatal(err)
	}
}

// stop asks the hub to end, by SIGTERM, and wants exit status 0. Once it has
// stopped, stopping it again does nothing.
func (h *hub) stop(t *testing.T) {
	t.Helper()
	h.process.Process.Signal(syscall.SIGTERM) // fails only if it has exited already
	select {
	case <-h.exited:
	case <-time.After(patience):
		t.Errorf("the hub is still there %v after SIGTERM", patience)
		h.process.Process.Kill()
		<-h.exited
	}
	if !h.process.ProcessState.Success() {
		t.Errorf("the hub ended with %v, not with status 0", h.process.ProcessState)
	}
}
