package systemd

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
)

// hub is a hub that runs as a service in the container.
type hub struct{ unit }

// startHub starts a hub with the given links, as a service with the given settings beside ExecStart, and returns when
// all of them listen.
func startHub(t *testing.T, settings string, links ...string) hub {
	t.Helper()
	writeLinks(t, links...)
	text := fmt.Sprintf("[Service]\nExecStart=/usr/local/bin/serialhub -c %s\n%s\n", path("links.yaml"), settings)
	h := hub{writeUnit(t, "hub.service", text)}
	h.do(t, "start")
	for _, link := range links {
		h.waitState(t, link, "waiting")
	}
	return h
}

// writeLinks writes the file that the hub reads when it starts and when it is reloaded.
func writeLinks(t *testing.T, links ...string) {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "api:\n  listen: unix:%s\nlinks:\n", apiSocket())
	for _, link := range links {
		fmt.Fprintf(&text, "  - name: %s\n    a: %s\n    b: %s\n", link, socket(link, "a"), socket(link, "b"))
	}
	if err := os.WriteFile(path("links.yaml"), []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// socket is the path of the socket that the hub listens on for one end of a link.
func socket(link, end string) string { return path(link + "." + end) }

// waitState waits until a link is "waiting", "half" or "up".
func (h hub) waitState(t *testing.T, link, state string) {
	t.Helper()
	eventually(t, "waiting until link "+link+" is "+state, func() error {
		var status struct{ State string }
		if err := h.get("/links/"+link, &status); err != nil {
			return err
		}
		if status.State != state {
			return fmt.Errorf("it is %s", status.State)
		}
		return nil
	})
}

// get asks the REST API.
func (h hub) get(path string, answer any) error {
	client := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", apiSocket())
		},
	}}
	response, err := client.Get("http://hub" + path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(answer)
}

// apiSocket is where the hub's API is.
func apiSocket() string { return path("api") }
