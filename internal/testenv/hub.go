package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// BuildHub builds the program into a folder of its own, which remove removes. It is for TestMain.
func BuildHub() (path string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "hubbin")
	if err != nil {
		return "", nil, err
	}
	remove = func() { os.RemoveAll(dir) } //nolint:errcheck // the tests are over
	path = filepath.Join(dir, "serialhub")
	build := exec.Command("go", "build", "-o", path, "serialhub/cmd/serialhub")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		remove()
		return "", nil, fmt.Errorf("building the hub: %w\n%s", err, output)
	}
	return path, remove, nil
}
