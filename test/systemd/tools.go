package systemd

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"serialhub/internal/testenv"
)

// patience bounds each single wait, so that a busy machine meets it.
const patience = 60 * time.Second

// sharedVariable is set in the container only.
const sharedVariable = "SERIALHUB_SYSTEMD_SHARED"

// shared is the folder that the container shares with the host; it is empty on the host.
var shared = os.Getenv(sharedVariable)

// path is where a file of the shared folder is.
func path(name string) string { return filepath.Join(shared, name) }

// shortDir is a folder that lives as long as the test: unlike t.TempDir's, its name leaves room for that of a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "hubsd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// writeFile writes a file that everybody may read, and the folders it is in.
func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// eventually polls a condition until it holds; its last error says what was still wrong when patience ran out.
func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	testenv.Eventually(t, patience, what, condition)
}
