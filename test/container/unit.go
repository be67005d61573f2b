package container

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"serialhub/internal/testenv"
)

// Unit is a unit of the container's systemd, by its name.
type Unit string

// WriteUnit writes a unit's file and lets systemd read it. It can be called again with another text.
func WriteUnit(t *testing.T, name, text string) Unit {
	t.Helper()
	u := Unit(name)
	WriteFile(t, filepath.Join("/etc/systemd/system", name), text)
	Systemctl(t, "daemon-reload")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s:\n%s\n%s", name, text, u.LastWords())
		}
	})
	return u
}

// LastWords is what systemd and the unit's own processes have said, for messages.
func (u Unit) LastWords() string {
	status, _ := Run("systemctl", "status", "--no-pager", "--lines=0", string(u))
	journal, _ := Run("journalctl", "--boot", "--no-pager", "--quiet", "--output=short-precise", "--unit", string(u))
	return status + "\n" + testenv.Tail(journal)
}

// Do has systemctl do something to the unit, and returns when that is done: start, stop, restart, reload, ….
func (u Unit) Do(t *testing.T, verb string) {
	t.Helper()
	Systemctl(t, verb, string(u))
}

// Kill sends a signal to the unit's main process.
func (u Unit) Kill(t *testing.T, signal string) {
	t.Helper()
	Systemctl(t, "kill", "--kill-who=main", "--signal="+signal, string(u))
}

// Property is what systemctl shows of the unit.
func (u Unit) Property(t *testing.T, name string) string {
	t.Helper()
	return Systemctl(t, "show", "--property="+name, "--value", string(u))
}

// WaitProperty waits until a property has the value that is wanted.
func (u Unit) WaitProperty(t *testing.T, name, wanted string) {
	t.Helper()
	Eventually(t, fmt.Sprintf("waiting until %s of %s is %q", name, u, wanted), func() error {
		if value := u.Property(t, name); value != wanted {
			return fmt.Errorf("it is %q", value)
		}
		return nil
	})
}

// WantProperties compares properties, in pairs of name and value.
func (u Unit) WantProperties(t *testing.T, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if value := u.Property(t, pairs[i]); value != pairs[i+1] {
			t.Errorf("%s of %s is %q, not %q", pairs[i], u, value, pairs[i+1])
		}
	}
}

// Systemctl runs systemctl, which must succeed, and returns what it said.
func Systemctl(t *testing.T, arguments ...string) string {
	t.Helper()
	output, err := Run("systemctl", arguments...)
	if err != nil {
		t.Fatal(err)
	}
	return output
}

// Run runs a program and returns what it said, without the white space around it.
func Run(name string, arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	output, err := exec.CommandContext(ctx, name, arguments...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(arguments, " "), err, output)
	}
	return strings.TrimSpace(string(output)), err
}
