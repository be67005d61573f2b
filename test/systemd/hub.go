package systemd

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"serialhub/test/container"
)

// hub is a hub that runs as a service in the container.
type hub struct {
	container.Unit
	config  string // the file of links
	sockets string // the folder of its sockets
}

// startHub starts a hub with the given links, as a service with the given settings beside ExecStart, and returns when
// all of them listen.
func startHub(t *testing.T, settings string, links ...string) hub {
	t.Helper()
	h := hub{config: container.Path("links.yaml"), sockets: container.Shared}
	h.writeLinks(t, links...)
	text := fmt.Sprintf("[Service]\nExecStart=/usr/local/bin/serialhub -c %s\n%s\n", h.config, settings)
	h.Unit = container.WriteUnit(t, "hub.service", text)
	h.start(t, links...)
	return h
}

// start starts the hub, and returns when the given links listen.
func (h hub) start(t *testing.T, links ...string) {
	t.Helper()
	h.Do(t, "start")
	for _, link := range links {
		h.waitState(t, link, "waiting")
	}
}

// writeLinks writes the file that the hub reads when it starts and when it is reloaded.
func (h hub) writeLinks(t *testing.T, links ...string) {
	t.Helper()
	var text strings.Builder
	for _, link := range links {
		fmt.Fprintf(&text, "  - {name: %s, a: %s, b: %s}\n", link, h.socket(link, "a"), h.socket(link, "b"))
	}
	h.writeConfig(t, text.String())
}

// writeConfig is writeLinks with the lines after "links:".
func (h hub) writeConfig(t *testing.T, links string) {
	t.Helper()
	container.WriteFile(t, h.config, fmt.Sprintf("api: {listen: 'unix:%s'}\nlinks:\n%s", h.apiSocket(), links))
}

// socket is the path of the socket that the hub listens on for one end of a link.
func (h hub) socket(link, end string) string { return filepath.Join(h.sockets, link+"."+end) }

// apiSocket is where the hub's API is.
func (h hub) apiSocket() string { return filepath.Join(h.sockets, "api") }

// waitState waits until a link is "waiting", "half" or "up".
func (h hub) waitState(t *testing.T, link, state string) {
	t.Helper()
	container.Eventually(t, "waiting until link "+link+" is "+state, func() error {
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
	client := http.Client{Timeout: container.Patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", h.apiSocket())
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
