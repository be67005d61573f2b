package container

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"serialhub/internal/testenv"
)

// Patience bounds each single wait, so that a busy machine meets it.
const Patience = 60 * time.Second

// sharedVariable is set in the container only.
const sharedVariable = "SERIALHUB_CONTAINER_SHARED"

// Shared is the folder that the container shares with the host; it is empty on the host.
var Shared = os.Getenv(sharedVariable)

// Path is where a file of the shared folder is.
func Path(name string) string { return filepath.Join(Shared, name) }

// WriteFile writes a file that everybody may read, and the folders it is in.
func WriteFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Eventually polls a condition until it holds; its last error says what was still wrong when patience ran out.
func Eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	testenv.Eventually(t, Patience, what, condition)
}
