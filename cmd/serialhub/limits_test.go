package main_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// limited is the command line of a hub that may have that many descriptors, and cannot help it.
func limited(descriptors int, config string) []string {
	line := []string{"sh", "-c", fmt.Sprintf("ulimit -n %d && exec %s -c %s", descriptors, binary, config)}
	if os.Geteuid() == 0 {
		line = append([]string{"setpriv", "--bounding-set=-sys_resource"}, line...) // root could raise the limit
	}
	return line
}

// manyLinks is a config with n links, whose sockets lie beside it.
func manyLinks(n int) string {
	var text strings.Builder
	text.WriteString("api: {listen: unix:api}\nlog: {format: json}\nlinks:\n")
	for i := range n {
		fmt.Fprintf(&text, "  - {name: l%d, a: %da, b: %db}\n", i, i, i)
	}
	return text.String()
}

func TestTooFewDescriptors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "links.yaml")
	if err := os.WriteFile(file, []byte(manyLinks(100)), 0o600); err != nil {
		t.Fatal(err)
	}
	line := limited(400, file)
	cmd := exec.Command(line[0], line[1:]...)
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	want := "too few file descriptors: 100 links need 600, and this process may have 400; raise the limit (LimitNOFILE=1000 in its systemd unit, or ulimit -n 1000)"
	if !strings.Contains(string(out), want) {
		t.Errorf("it says %s", out)
	}
	if sockets, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "*a")); len(sockets) > 0 {
		t.Errorf("it has made %q", sockets)
	}
}

// TestReloadThatDoesNotFit changes nothing.
func TestReloadThatDoesNotFit(t *testing.T) {
	file := writeConfig(t, manyLinks(100))
	p := startCommand(t, filepath.Dir(file), limited(650, file)...)
	if log := p.log.String(); !strings.Contains(log, `"level":"WARN"`) || !strings.Contains(log, `"better":1000`) {
		t.Error("it does not warn")
	}
	if err := os.WriteFile(file, []byte(manyLinks(200)), 0o600); err != nil {
		t.Fatal(err)
	}
	p.cmd.Process.Signal(syscall.SIGHUP)
	p.until("told why it does not reload", func() bool { return strings.Contains(p.log.String(), "200 links need 1100") })
	if status := p.get("/links/l150"); status != http.StatusNotFound {
		t.Errorf("a link of the new config answers %d", status)
	}
	if status := p.get("/links/l99"); status != http.StatusOK {
		t.Errorf("a link of the old config answers %d", status)
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.exit(0)
}
