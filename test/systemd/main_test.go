package systemd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"serialhub/test/container"
)

// release is what it says of its version.
const release = "release-under-test"

// hubBinary is the hub under test, built once for all containers.
var hubBinary string

// machine is this one, with the hub under test.
func machine() container.Machine {
	return container.Machine{Suite: "systemd", Root: "/", Hub: hubBinary, Bring: []string{"../../packaging"}}
}

// inContainer tells whether the test runs in the container. On the host it boots one that runs the test, and takes
// over what comes out; the caller returns.
func inContainer(t *testing.T) bool {
	t.Helper()
	return machine().Inside(t)
}

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	if container.Shared != "" || len(container.Missing()) > 0 {
		return m.Run() // it is built, or each test says what is missing
	}
	dir, remove, err := watchedDir()
	if err != nil {
		fmt.Fprintln(os.Stderr, "systemd:", err)
		return 1
	}
	defer remove()

	hubBinary = filepath.Join(dir, "serialhub")
	build := exec.Command("go", "build", "-ldflags", "-X main.release="+release, "-o", hubBinary, "serialhub/cmd/serialhub")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "systemd: building the hub: %v\n%s", err, output)
		return 1
	}
	return m.Run()
}

// watchedDir makes a folder that is removed by a process of its own, so that it goes also when this one is killed.
func watchedDir() (dir string, remove func(), err error) {
	if dir, err = os.MkdirTemp("", "serialhub-systemd"); err != nil {
		return "", nil, err
	}
	remover := exec.Command("sh", "-c", `cat; rm -rf "$0"`, dir)
	remover.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdin, err := remover.StdinPipe()
	if err == nil {
		err = remover.Start()
	}
	if err != nil {
		os.RemoveAll(dir)
		return "", nil, err
	}
	return dir, func() {
		stdin.Close()
		remover.Wait()
	}, nil
}
