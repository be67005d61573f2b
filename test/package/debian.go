package pkg

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"serialhub/test/container"
)

const (
	service = container.Unit("serialhub.service")
	config  = "/etc/serialhub/links.yaml"
)

// run runs a shell's line, which must succeed, and returns what it said.
func run(t *testing.T, line string) string {
	t.Helper()
	output, err := container.Run("bash", "-euo", "pipefail", "-c", line)
	if err != nil {
		t.Fatal(err)
	}
	return output
}

// install installs a package as an administrator does, and returns what that has said.
func install(t *testing.T, version string, options ...string) string {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(service.LastWords())
		}
	})
	return run(t, "DEBIAN_FRONTEND=noninteractive apt-get install -q -y --allow-downgrades "+strings.Join(options, " ")+" "+container.Path(deb(version)))
}

// deb is the file of the package of a version.
func deb(version string) string { return "serialhub_" + version + "_amd64.deb" }

// writeConfig writes the file of links, with the lines after "links:".
func writeConfig(t *testing.T, links string) {
	t.Helper()
	container.WriteFile(t, config, "links:\n"+links)
}

const link = "  - {name: dbg, a: /run/serialhub/dbg-a, b: /run/serialhub/dbg-b}\n"

// startTalking gives the hub a link, and connects a peer to each of its ends.
func startTalking(t *testing.T) (a, b container.Peer) {
	t.Helper()
	writeConfig(t, link)
	service.Do(t, "reload")
	a, b = container.Connect(t, "/run/serialhub/dbg-a"), container.Connect(t, "/run/serialhub/dbg-b")
	container.Converse(t, a, b)
	return a, b
}

// wantVersion wants the hub that runs to be of a version.
func wantVersion(t *testing.T, version string) {
	t.Helper()
	if err := isVersion(version); err != nil {
		t.Error(err)
	}
}

func isVersion(version string) error {
	var status struct{ Version string }
	if err := get("/status", &status); err != nil {
		return err
	}
	if status.Version != version {
		return fmt.Errorf("the hub is version %s, not %s", status.Version, version)
	}
	return nil
}

func get(path string, answer any) error {
	response, err := http.Get("http://127.0.0.1:7373" + path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(answer)
}

// traces is all that a package could leave behind: files, users and groups, what systemd knows, processes.
func traces(t *testing.T) []string {
	t.Helper()
	lines := run(t, `find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path "$SERIALHUB_CONTAINER_SHARED" \
		-o -path /var/cache -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/log/apt -o -path /var/log/journal \
		-o -name 'systemd-private-*' \) -prune -o -print | grep -vxE '/etc/(passwd|group|shadow|gshadow|subuid|subgid)-|/var/log/(dpkg|alternatives).log' | sed 's/^/file /'
	find /run -name '*serialhub*' -not -path "/run/systemd/propagate/*" | sed 's/^/file /'
	find /etc/systemd /var/lib/systemd | sed 's/^/file /'
	for file in passwd group shadow gshadow subuid subgid; do [ ! -e /etc/$file ] || sed "s|^|/etc/$file |" /etc/$file; done
	systemctl list-unit-files --no-legend 'serialhub*' | sed 's/^/unit file /' || true
	systemctl list-units --all --no-legend 'serialhub*' | sed 's/^/unit /'
	ps -eo comm | grep -x serialhub | sed 's/^/process /' || true
	dpkg-query -W -f 'package ${Package} ${db:Status-Status}\n'`)
	return strings.Split(lines, "\n")
}

// wantNothingLeft compares with traces before.
func wantNothingLeft(t *testing.T, before []string) {
	t.Helper()
	was, is := map[string]bool{}, map[string]bool{}
	for _, line := range before {
		was[line] = true
	}
	for _, line := range traces(t) {
		is[line] = true
		if !was[line] {
			t.Errorf("is left behind: %s", line)
		}
	}
	for _, line := range before {
		if !is[line] {
			t.Errorf("has gone: %s", line)
		}
	}
}

// exists tells whether there is a file.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
