package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"serialhub/internal/testenv"
)

// service is a hub that a real systemd runs as packaging/ says, in a container; its sockets are in a folder that the
// container shares with this machine, at the same path. The test that started it owns it.
type service struct {
	folder string
	shell  net.Conn    // of a shell in the container
	said   *transcript // what that has said
}

const (
	// shellUnit is all that the container is there for: a shell for the test.
	shellUnit = `[Unit]
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=exec
ExecStart=/bin/bash
StandardInput=file:%[1]s/shell
StandardOutput=file:%[1]s/shell
StandardError=inherit
`
	// placesOfTest are where the hub finds its program and its config.
	placesOfTest = `[Service]
ExecStart=
ExecStart=%[1]s/serialhub -c %[1]s/links.yaml
`
	setUp = `systemd-sysusers %[1]s/serialhub.conf && chown serialhub %[1]s/sockets && systemctl start serialhub`
	// releaseOfTest is what the hub says of its version, before an upgrade.
	releaseOfTest = "release-of-this-test"
)

// startService starts a hub with one link, and returns when it is ready.
func startService(t *testing.T, link string) *service {
	t.Helper()
	s := &service{folder: testenv.Dir(t), said: newTranscript()}
	build := exec.Command("go", "build", "-ldflags", "-X main.release="+releaseOfTest, "-o", s.path("serialhub"), "serialhub/cmd/serialhub")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the hub: %v\n%s", err, output)
	}
	s.write(t, "units/inside.service", fmt.Sprintf(shellUnit, s.folder))
	s.write(t, "units/serialhub.service.d/test.conf", fmt.Sprintf(placesOfTest, s.folder))
	s.write(t, "units/serialhub.service", packaged(t, "systemd/serialhub.service"))
	s.write(t, "serialhub.conf", packaged(t, "sysusers.d/serialhub.conf"))
	s.write(t, "links.yaml", fmt.Sprintf("api: {listen: 'unix:%s'}\nlinks:\n  - {name: %s, a: %s, b: %s}\n",
		s.path("sockets/api"), link, s.socket(link, "a"), s.socket(link, "b")))
	for _, folder := range []string{s.folder, s.path("sockets")} { // for the hub's own user
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.boot(t)
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := s.try("journalctl --no-pager --quiet --unit serialhub")
			t.Logf("the hub's log:\n%s", testenv.Tail(log))
		}
	})
	s.run(t, fmt.Sprintf(setUp, s.folder))
	return s
}

// boot starts the container, and returns when the shell is there.
func (s *service) boot(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("unix", s.path("shell"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	script := exec.Command("unshare", "--mount", "--propagation", "private",
		"../systemd/container.sh", s.folder, s.path("serialhub"), s.path("serialhub"))
	script.Stdout, script.Stderr = t.Output(), t.Output()
	stdin, err := script.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := script.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close() // the script takes everything away then
		script.Wait()
	})
	listener.(*net.UnixListener).SetDeadline(time.Now().Add(patience))
	if s.shell, err = listener.Accept(); err != nil {
		t.Fatal("the container does not boot: ", err)
	}
	go s.said.copyFrom(s.shell)
	t.Cleanup(func() { s.shell.Close() })
}

// path is where a file of the shared folder is.
func (s *service) path(name string) string { return filepath.Join(s.folder, name) }

// socket is the path of the socket that the hub listens on for one end of a link.
func (s *service) socket(link, end string) string { return s.path("sockets/" + link + "." + end) }

// write writes a file of the shared folder that everybody may read.
func (s *service) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.path(name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// packaged is the text of a file in packaging/.
func packaged(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../packaging", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var commandEnd = regexp.MustCompile(`(?s)^(.*)@(\d+)@\n`)

// run runs a command in the container and returns its output, trimmed. It fails the test if the status is not 0.
func (s *service) run(t *testing.T, command string) string {
	t.Helper()
	output, err := s.try(command)
	if err != nil {
		t.Fatal(err)
	}
	return output
}

func (s *service) try(command string) (string, error) {
	from := s.said.length()
	if _, err := fmt.Fprintf(s.shell, "{ %s; } </dev/null 2>&1; echo \"@$?@\"\n", command); err != nil {
		return "", err
	}
	match, err := s.said.waitFor(commandEnd, from, patience)
	if err != nil {
		return "", fmt.Errorf("running %s: %w", command, err)
	}
	if match[2] != "0" {
		return "", fmt.Errorf("%s ended with status %s and said:\n%s", command, match[2], match[1])
	}
	return strings.TrimSpace(match[1]), nil
}

// kill sends a signal to the hub.
func (s *service) kill(t *testing.T, signal string) {
	t.Helper()
	s.run(t, "systemctl kill --kill-who=main --signal="+signal+" serialhub")
}

// upgrade puts a program with another release in the place of the one that runs, and returns when the hub is that one.
func (s *service) upgrade(t *testing.T) {
	t.Helper()
	before := s.run(t, "systemctl show --property=MainPID serialhub")
	program, err := os.ReadFile(s.path("serialhub"))
	if err != nil {
		t.Fatal(err)
	}
	next := strings.Map(func(r rune) rune { return r + 1 }, s.version(t)) // as long as the one before
	program = bytes.ReplaceAll(program, []byte(s.version(t)), []byte(next))
	if err := os.WriteFile(s.path("next"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.path("next"), s.path("serialhub")); err != nil {
		t.Fatal(err)
	}
	s.kill(t, "USR2")
	eventually(t, "waiting for the new program", func() error {
		if version := s.version(t); version != next {
			return fmt.Errorf("the hub says it is %s", version)
		}
		return nil
	})
	if after := s.run(t, "systemctl show --property=MainPID serialhub"); after != before {
		t.Errorf("the upgrade has changed %s to %s", before, after)
	}
}

// version is what the hub says of its version.
func (s *service) version(t *testing.T) string {
	t.Helper()
	var status struct{ Version string }
	s.get(t, "/status", &status)
	return status.Version
}

// received is how many bytes have come from the peer at an end, as far as the hub has counted.
func (s *service) received(t *testing.T, link, end string) uint64 {
	t.Helper()
	var status linkStatus
	s.get(t, "/links/"+link, &status)
	return status.Ends[end].ReceivedBytes
}

// get asks the REST API.
func (s *service) get(t *testing.T, path string, answer any) {
	t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", s.path("sockets/api"))
		},
	}}
	eventually(t, "asking the hub for "+path, func() error {
		response, err := client.Get("http://hub" + path)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			text, _ := io.ReadAll(response.Body)
			return fmt.Errorf("%s: %s", response.Status, text)
		}
		return json.NewDecoder(response.Body).Decode(answer)
	})
}
