package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"serialhub/internal/testenv"
)

// hubURL is where the hub's API is in the guest.
const hubURL = "http://127.0.0.1:7373"

// linksFile is the file that the hub in the guest runs on.
const linksFile = "/tmp/links.yaml"

// link is what the API says of one.
type link struct {
	State     string `json:"state"`
	LastError struct {
		End     string `json:"end"`
		Message string `json:"message"`
	} `json:"last_error"`
	Ends map[string]struct {
		State       string `json:"state"`
		Connections int    `json:"connections"`
		Received    int    `json:"received_bytes"`
		Sent        int    `json:"sent_bytes"`
		Discarded   int    `json:"discarded_bytes"`
	} `json:"ends"`
}

// hub is one that runs in a guest.
type hub struct{ *process }

// startHub runs the hub on a file of links, until the test ends at the latest.
func (g *guest) startHub(t *testing.T, links string) *hub {
	t.Helper()
	g.write(t, linksFile, []byte(links))
	h := &hub{g.start(t, "serialhub", "-c", linksFile)}
	t.Cleanup(func() {
		h.signal(t, syscall.SIGKILL)
		if log, _ := h.wait(t); t.Failed() {
			t.Logf("the hub's log:\n%s", testenv.Tail(log))
		}
	})
	h.hear(t, "msg=started")
	return h
}

// link asks the API for a link.
func (h *hub) link(t *testing.T, name string) (l link, err error) {
	t.Helper()
	answer, code := h.guest.run(t, "wget", "-q", "-O", "-", hubURL+"/links/"+name)
	if code != 0 {
		return l, errors.New(answer)
	}
	return l, json.Unmarshal([]byte(answer), &l)
}

// await waits until a link is as it should be.
func (h *hub) await(t *testing.T, name, what string, condition func(link) bool) (l link) {
	t.Helper()
	eventually(t, fmt.Sprintf("waiting until link %s %s", name, what), func() (err error) {
		l, err = h.link(t, name)
		if err == nil && !condition(l) {
			err = fmt.Errorf("it is %+v", l)
		}
		return err
	})
	return l
}

// waitState waits until a link is in a state.
func (h *hub) waitState(t *testing.T, name, state string) link {
	t.Helper()
	return h.await(t, name, "is "+state, func(l link) bool { return l.State == state })
}

// wantError waits until end a of a link cannot be opened, and wants it said why.
func (h *hub) wantError(t *testing.T, name, want string) {
	t.Helper()
	l := h.await(t, name, "is retrying", func(l link) bool { return l.State == "retrying" && l.Ends["a"].State == "retrying" })
	if l.LastError.End != "a" || !strings.Contains(l.LastError.Message, want) {
		t.Errorf("the error of link %s should say %q: %+v", name, want, l)
	}
}

// stop stops the hub, which has to end well.
func (h *hub) stop(t *testing.T) {
	t.Helper()
	h.signal(t, syscall.SIGTERM)
	h.ended(t)
}

// ended waits until the hub has ended well.
func (h *hub) ended(t *testing.T) {
	t.Helper()
	if _, code := h.wait(t); code != 0 {
		t.Errorf("the hub ended with %d", code)
	}
}
