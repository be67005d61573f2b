// Package container runs tests under a real systemd, which is booted in a container by systemd-nspawn: over the files of this machine, or of
// another root. The same test binary runs on the host, where it boots the container, and in there.
package container

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

// Machine is what a suite of tests boots.
type Machine struct {
	Suite string   // whose setup.sh installs what that takes
	Root  string   // whose files it has; what is written is forgotten
	Hub   string   // the program that is there as /usr/local/bin/serialhub; "" for none
	Bring []string // files and folders, of which copies are in the shared folder
}

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

// Container is a systemd that runs the test of the same name. The test on the host owns it; nothing of it is left
// at that test's end.
type Container struct {
	Folder string // shared with the container, at the same path
	script *exec.Cmd
	stdin  io.Closer // kills the container when it is closed, as it is when this process dies
	limit  time.Duration
	Ended  chan struct{} // is closed when it is over
	err    error         // how the container ended, once it has
}

// Inside tells whether the test runs in the container. On the host it boots one that runs the test, and takes
// over what comes out; the caller returns.
func (m Machine) Inside(t *testing.T) bool {
	t.Helper()
	if Shared != "" {
		return true
	}
	m.Boot(t).Wait(t)
	return false
}

// Boot starts a container that runs the test of the same name, and returns without waiting for anything.
func (m Machine) Boot(t *testing.T) *Container {
	t.Helper()
	testenv.Need(t, m.Suite, Missing())
	c := &Container{Folder: testenv.Dir(t), limit: timeLimit(t), Ended: make(chan struct{})}
	units := c.Path("units")
	if err := os.Mkdir(units, 0o755); err != nil {
		t.Fatal(err)
	}
	// The test in there is to give up earlier than its container does: it knows where it hangs.
	text := fmt.Sprintf(testUnit, t.Name(), c.Folder, c.limit*9/10)
	if err := os.WriteFile(filepath.Join(units, "inside.service"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range m.Bring {
		if err := bring(path, c.Path(filepath.Base(path))); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("unix", c.Path("output"))
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}

	c.script = exec.Command("unshare", "--mount", "--propagation", "private", "../systemd/container.sh", c.Folder, tests, m.Hub, m.Root)
	c.script.Stdout, c.script.Stderr = t.Output(), t.Output()
	c.script.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is for this process; the script cleans up
	if c.stdin, err = c.script.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.script.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.Ended)
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
	t.Cleanup(c.Kill)
	return c
}

// timeLimit is how long the container may take: go test's own time limit would leave no time to clean up.
func timeLimit(t *testing.T) time.Duration {
	limit := 2 * Patience
	if deadline, ok := t.Deadline(); ok {
		limit = min(limit, time.Until(deadline)*9/10)
	}
	return limit
}

// Wait waits until the container is over, and fails the test if it failed in there.
func (c *Container) Wait(t *testing.T) {
	t.Helper()
	select {
	case <-c.Ended:
	case <-time.After(c.limit):
		c.Kill()
		t.Fatalf("the container was still there after %v", c.limit)
	}
	if c.err != nil {
		t.Fatalf("failed in the container, which ended with %v", c.err)
	}
}

// Path is where a file of the shared folder is, on the host and in the container.
func (c *Container) Path(name string) string { return filepath.Join(c.Folder, name) }

// Missing names what boot needs and is not there.
func Missing() []string {
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

// bring copies a file or a folder.
func bring(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.CopyFS(to, os.DirFS(from))
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, info.Mode().Perm())
}

// Kill kills the container, as happens when this process dies, and returns when nothing of it is left.
func (c *Container) Kill() {
	c.stdin.Close()
	<-c.Ended
}
