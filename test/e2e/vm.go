package e2e

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"syscall"
	"testing"
	"time"

	"serialhub/internal/testenv"
)

// vm is a running QEMU with two serial ports. The first is the control line, a
// pipe to the test; the second is the link: QEMU is a client of a hub's socket.
// The test that started it owns it, and it is killed at that test's end.
type vm struct {
	name    string
	process *exec.Cmd
	control io.WriteCloser // into the first serial port
	output  *transcript    // out of the first serial port
	errors  *bytes.Buffer  // QEMU's own complaints; to be read after exited only
	started time.Time
	exited  chan struct{} // closed when the process is reaped
}

// connectOnce is what Xen's device model does with serial="unix:/path": one
// connection, made before the guest runs; once lost, lost for the VM's life.
func connectOnce(socket string) []string { return []string{"-serial", "unix:" + socket} }

// connectAgain makes a new connection a second after one was lost.
func connectAgain(socket string) []string {
	return []string{"-chardev", "socket,id=link,path=" + socket + ",reconnect=1", "-serial", "chardev:link"}
}

// startVM starts a VM. link are the QEMU options that say how its second serial
// port meets the hub, boot those that say what it boots.
func startVM(t *testing.T, name string, link []string, boot ...string) *vm {
	t.Helper()
	args := []string{
		"-name", name, "-machine", "pc", "-accel", "tcg", "-m", "128",
		"-nodefaults", "-no-reboot", "-display", "none",
		"-serial", "stdio",
	}
	args = append(args, link...)
	v := &vm{
		name:    name,
		process: exec.Command("qemu-system-x86_64", append(args, boot...)...),
		output:  newTranscript(),
		errors:  new(bytes.Buffer),
		exited:  make(chan struct{}),
	}
	v.process.Stderr = v.errors
	// A test binary that dies runs no cleanup, and must leave no VM behind.
	v.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	control, err := v.process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := v.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	v.control = control
	v.started = time.Now()
	if err := v.process.Start(); err != nil {
		t.Fatalf("VM %s: %v", name, err)
	}
	go func() {
		v.output.copyFrom(output) // before Wait, which closes the pipe
		v.process.Wait()
		close(v.exited)
	}()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("VM %s at the end:\n%s", v.name, v.lastWords())
		}
		v.kill(t)
	})
	return v
}

func (v *vm) pid() int { return v.process.Process.Pid }

// kill ends the VM as a power failure would, and returns when it is gone.
func (v *vm) kill(t *testing.T) {
	t.Helper()
	v.process.Process.Kill() // fails only if it has exited already
	select {
	case <-v.exited:
	case <-time.After(patience):
		t.Errorf("VM %s (pid %d) is still there %v after it was killed", v.name, v.pid(), patience)
	}
}

// mustRun fails the test if the VM has ended by itself.
func (v *vm) mustRun(t *testing.T) {
	t.Helper()
	select {
	case <-v.exited:
		t.Fatalf("VM %s has ended: %v\n%s", v.name, v.process.ProcessState, v.lastWords())
	default:
	}
}

// waitOutput waits for a pattern on the control line, after position from.
func (v *vm) waitOutput(pattern *regexp.Regexp, from int) ([]string, error) {
	match, err := v.output.waitFor(pattern, from, patience)
	if err != nil {
		return nil, fmt.Errorf("VM %s: %w; its last output:\n%s", v.name, err, v.lastWords())
	}
	return match, nil
}

// lastWords is the end of the control line's output, with what QEMU said of an end.
func (v *vm) lastWords() string {
	text, _, _ := v.output.snapshot()
	words := testenv.Tail(string(text))
	select {
	case <-v.exited:
		words += fmt.Sprintf("\n[QEMU has exited: %v] %s", v.process.ProcessState, v.errors)
	default:
	}
	return words
}
