package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	if len(missing()) > 0 {
		return m.Run() // each test says so itself
	}
	dir, err := os.MkdirTemp("", "serialhub-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer os.RemoveAll(dir)

	hubBinary = filepath.Join(dir, "serialhub")
	build := exec.Command("go", "build", "-o", hubBinary, "serialhub/cmd/serialhub")
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "e2e: building the hub: %v\n%s", err, output)
		return 1
	}
	return m.Run()
}
