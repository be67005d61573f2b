package e2e

import (
	"encoding/base64"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// guest is a VM with Linux, whose init (guest/init) runs the scripts that the test
// sends over the control line, one at a time.
type guest struct {
	*vm
	bootTime time.Duration // from the start of QEMU until init took commands
	scripts  atomic.Int64  // numbers the scripts, so that answers cannot be mistaken
}

// Kernel parameters, for startGuest.
const (
	// quietLink: the kernel's console is the control line; the link carries bytes only.
	quietLink = "console=ttyS0 quiet"
	// consoleLink: the kernel's console and a shell are on the link.
	consoleLink = "console=ttyS1 e2e.link=shell"
)

var guestReady = regexp.MustCompile(`@ready@`)

// startGuest boots Linux with its link on the given socket, and returns when the
// guest takes commands.
func startGuest(t *testing.T, name, socket, parameters string) *guest {
	t.Helper()
	return startGuestWith(t, name, connectOnce(socket), parameters)
}

// startGuestWith is startGuest with QEMU's options for the link.
func startGuestWith(t *testing.T, name string, link []string, parameters string) *guest {
	t.Helper()
	// Without rdrand the guest gathers randomness for a second before it gives any.
	g := &guest{vm: startVM(t, name, link, "-cpu", "qemu64,+rdrand",
		"-kernel", artefact("vmlinux"), "-initrd", artefact("initramfs.gz"), "-append", parameters)}
	if _, err := g.waitOutput(guestReady, 0); err != nil {
		t.Fatal("booting: ", err)
	}
	g.bootTime = time.Since(g.started)
	return g
}

// run runs a shell script in the guest and returns its output, trimmed. It fails
// the test if the script's status is not 0. Only the test's own goroutine may call it.
func (g *guest) run(t *testing.T, script string) string {
	t.Helper()
	output, err := g.try(script)
	if err != nil {
		t.Fatal(err)
	}
	return output
}

// try is run for other goroutines: it returns the error.
func (g *guest) try(script string) (string, error) {
	id := g.scripts.Add(1)
	from := g.output.length()
	line := fmt.Sprintf("%d %s\n", id, base64.StdEncoding.EncodeToString([]byte(script)))
	if _, err := io.WriteString(g.control, line); err != nil {
		return "", fmt.Errorf("VM %s: cannot send the script %q: %w\n%s", g.name, script, err, g.lastWords())
	}
	answer := regexp.MustCompile(fmt.Sprintf(`@%d:(\d+):([A-Za-z0-9+/=]*)@`, id))
	match, err := g.waitOutput(answer, from)
	if err != nil {
		return "", fmt.Errorf("running %q: %w", script, err)
	}
	output, err := base64.StdEncoding.DecodeString(match[2])
	if err != nil {
		return "", fmt.Errorf("VM %s: garbled answer to %q: %w", g.name, script, err)
	}
	if status, _ := strconv.Atoi(match[1]); status != 0 {
		return "", fmt.Errorf("VM %s: the script %q ended with status %d and said:\n%s", g.name, script, status, output)
	}
	return strings.TrimSpace(string(output)), nil
}

// running is a script that runs in a guest while the test does something else.
type running struct {
	output string
	err    error
	done   chan struct{}
}

// inBackground starts a script. Until it is done, the guest takes no other; an
// unfinished one ends with its VM.
func inBackground(g *guest, script string) *running {
	r := &running{done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.output, r.err = g.try(script)
	}()
	return r
}

// wait returns the script's output, and fails the test if its status was not 0.
func (r *running) wait(t *testing.T) string {
	t.Helper()
	<-r.done
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r.output
}
