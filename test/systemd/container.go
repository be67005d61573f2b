package systemd

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"serialhub/internal/testenv"
)

// hubBinary is the hub under test, built once for all containers.
var hubBinary string

// testUnit runs one test in the container; what systemd then exits with is what the test binary did, but for a
// signal, which would count as 0.
const testUnit = `[Unit]
Description=%[1]s
SuccessAction=exit-force
FailureAction=exit-force
FailureActionExitStatus=1
[Service]
Type=exec
Environment=` + sharedVariable + `=%[2]s
ExecStart=/usr/local/lib/serialhub.test -test.run=^%[1]s$$ -test.v -test.timeout=%[3]v
StandardOutput=file:%[2]s/output
StandardError=inherit
`

// container is a systemd that runs the test of the same name. The test on the host owns it; nothing of it is left
// at that test's end.
type container struct {
	folder string // shared with the container, at the same path
	script *exec.Cmd
	stdin  io.Closer // kills the container when it is closed, as it is when this process dies
	limit  time.Duration
	ended  chan struct{}
	err    error // how the container ended, once it has
}

// inContainer tells whether the test runs in the container. On the host it boots one that runs the test, and takes
// over what comes out; the caller returns.
func inContainer(t *testing.T) bool {
	t.Helper()
	if shared != "" {
		return true
	}
	boot(t).wait(t)
	return false
}

// boot starts a container that runs the test of the same name, and returns without waiting for anything.
func boot(t *testing.T) *container {
	t.Helper()
	needTools(t)
	c := &container{folder: shortDir(t), limit: timeLimit(t), ended: make(chan struct{})}
	units := c.path("units")
	if err := os.Mkdir(units, 0o755); err != nil {
		t.Fatal(err)
	}
	// The test in there is to give up earlier than its container does: it knows where it hangs.
	text := fmt.Sprintf(testUnit, t.Name(), c.folder, c.limit*9/10)
	if err := os.WriteFile(filepath.Join(units, "inside.service"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(c.path("packaging"), os.DirFS("../../packaging")); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", c.path("output"))
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}

	c.script = exec.Command("unshare", "--mount", "--propagation", "private", "./container.sh", c.folder, tests, hubBinary)
	c.script.Stdout, c.script.Stderr = t.Output(), t.Output()
	c.script.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is for this process; the script cleans up
	if c.stdin, err = c.script.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.script.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.ended)
		copied := make(chan struct{})
		go func() {
			defer close(copied)
			if output, err := listener.Accept(); err == nil {
				io.Copy(t.Output(), output)
			}
		}()
		c.err = c.script.Wait()
		listener.Close()
		<-copied
	}()
	t.Cleanup(func() {
		c.stdin.Close()
		<-c.ended
	})
	return c
}

// timeLimit is how long the container may take: go test's own time limit would leave no time to clean up.
func timeLimit(t *testing.T) time.Duration {
	limit := 2 * patience
	if deadline, ok := t.Deadline(); ok {
		limit = min(limit, time.Until(deadline)*9/10)
	}
	return limit
}

// wait waits until the container is over, and fails the test if it failed in there.
func (c *container) wait(t *testing.T) {
	t.Helper()
	select {
	case <-c.ended:
	case <-time.After(c.limit):
		c.stdin.Close()
		<-c.ended
		t.Fatalf("the container was still there after %v", c.limit)
	}
	if c.err != nil {
		t.Fatalf("failed in the container, which ended with %v", c.err)
	}
}

// path is where a file of the shared folder is, on the host and in the container.
func (c *container) path(name string) string { return filepath.Join(c.folder, name) }

// missing names what boot needs and is not there.
func missing() []string {
	var absent []string
	if os.Getuid() != 0 {
		absent = append(absent, "root's rights")
	}
	for _, name := range []string{"systemd-nspawn", "systemctl", "journalctl", "unshare", "bash"} {
		if _, err := exec.LookPath(name); err != nil {
			absent = append(absent, "the program "+name)
		}
	}
	if known, err := os.ReadFile("/proc/filesystems"); err != nil || !strings.Contains(string(known), "\toverlay\n") {
		absent = append(absent, "the kernel's overlay file system")
	}
	return absent
}

// needTools skips the test if something is missing, or fails it if whoever runs the tests has run setup.sh.
func needTools(t *testing.T) {
	t.Helper()
	testenv.Need(t, "systemd", missing())
}
