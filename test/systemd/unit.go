package systemd

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"serialhub/internal/testenv"
)

// unit is a unit of the container's systemd, by its name.
type unit string

// writeUnit writes a unit's file and lets systemd read it. It can be called again with another text.
func writeUnit(t *testing.T, name, text string) unit {
	t.Helper()
	u := unit(name)
	writeFile(t, filepath.Join("/etc/systemd/system", name), text)
	systemctl(t, "daemon-reload")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s:\n%s\n%s", name, text, u.lastWords())
		}
	})
	return u
}

// lastWords is what systemd and the unit's own processes have said, for messages.
func (u unit) lastWords() string {
	status, _ := run("systemctl", "status", "--no-pager", "--lines=0", string(u))
	journal, _ := run("journalctl", "--boot", "--no-pager", "--quiet", "--output=short-precise", "--unit", string(u))
	return status + "\n" + testenv.Tail(journal)
}

// do has systemctl do something to the unit, and returns when that is done: start, stop, restart, reload, ….
func (u unit) do(t *testing.T, verb string) {
	t.Helper()
	systemctl(t, verb, string(u))
}

// kill sends a signal to the unit's main process.
func (u unit) kill(t *testing.T, signal string) {
	t.Helper()
	systemctl(t, "kill", "--kill-who=main", "--signal="+signal, string(u))
}

// property is what systemctl shows of the unit.
func (u unit) property(t *testing.T, name string) string {
	t.Helper()
	return systemctl(t, "show", "--property="+name, "--value", string(u))
}

// waitProperty waits until a property has the value that is wanted.
func (u unit) waitProperty(t *testing.T, name, wanted string) {
	t.Helper()
	eventually(t, fmt.Sprintf("waiting until %s of %s is %q", name, u, wanted), func() error {
		if value := u.property(t, name); value != wanted {
			return fmt.Errorf("it is %q", value)
		}
		return nil
	})
}

// wantProperties compares properties, in pairs of name and value.
func (u unit) wantProperties(t *testing.T, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if value := u.property(t, pairs[i]); value != pairs[i+1] {
			t.Errorf("%s of %s is %q, not %q", pairs[i], u, value, pairs[i+1])
		}
	}
}

// systemctl runs systemctl, which must succeed, and returns what it said.
func systemctl(t *testing.T, arguments ...string) string {
	t.Helper()
	output, err := run("systemctl", arguments...)
	if err != nil {
		t.Fatal(err)
	}
	return output
}

// run runs a program and returns what it said, without the white space around it.
func run(name string, arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	output, err := exec.CommandContext(ctx, name, arguments...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(arguments, " "), err, output)
	}
	return strings.TrimSpace(string(output)), err
}
