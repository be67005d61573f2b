package docs

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"serialhub/internal/testenv"
	"serialhub/test/container"
)

// TestMain has the tests in a container find the tree and this machine's programs.
func TestMain(m *testing.M) {
	if container.Shared == "" {
		os.Exit(m.Run())
	}
	environment, err := os.ReadFile(container.Path("environment"))
	if err == nil {
		err = os.Chdir(container.Path("tree/test/docs"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
	for line := range strings.Lines(string(environment)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		os.Setenv(name, value)
	}
	os.Exit(m.Run())
}

// newMachine is what a page is read on: this machine, with the hub, and the tree as a clone of it has it. It takes nothing from the network.
func newMachine(t *testing.T) container.Machine {
	t.Helper()
	dir := testenv.Dir(t)
	m := container.Machine{Suite: "docs", Root: "/", Hub: filepath.Join(dir, "serialhub"),
		Bring: []string{filepath.Join(dir, "tree"), filepath.Join(dir, "environment")}}
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-X main.release=", "-o", m.Hub, "serialhub/cmd/serialhub") // so that make build finds it all made
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the hub: %v\n%s", err, output)
	}
	for name := range readTree(t) {
		copyFile(t, filepath.Join(root, name), filepath.Join(m.Bring[0], name))
	}
	environment := "HOME=/root\nGOPROXY=off\nPATH=" + os.Getenv("PATH") + "\n"
	for _, name := range []string{"GOMODCACHE", "GOCACHE"} {
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatalf("go env %s: %v", name, err)
		}
		environment += name + "=" + string(value)
	}
	testenv.WriteFile(t, m.Bring[1], environment)
	return m
}

// copyFile copies a file of the tree, or makes a folder.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	info, err := os.Stat(from)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Dir(to)
	if info.IsDir() {
		folder = to
	}
	if err := os.MkdirAll(folder, 0o755); err != nil || info.IsDir() {
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, content, info.Mode()&fs.ModePerm)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// needTools skips the test if the container, or the readers in it, lack something, or fails it if whoever runs the tests has run setup.sh.
func needTools(t *testing.T) {
	t.Helper()
	absent := container.Missing()
	for _, name := range strings.Fields("bash tmux socat curl gdb gdbserver ip jq make openssl qemu-system-x86_64 tshark zstdcat") {
		if _, err := exec.LookPath(name); err != nil {
			absent = append(absent, "the program "+name)
		}
	}
	testenv.Need(t, "docs", absent)
}
