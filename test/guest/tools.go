package guest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"serialhub/internal/testenv"
)

// patience bounds each single wait, so that a busy machine meets it.
const patience = 2 * time.Minute

// insideVariable is set in the guest only.
const insideVariable = "SERIALHUB_GUEST_INSIDE"

// inside tells whether this is the guest.
var inside = os.Getenv(insideVariable) != ""

// artefact is the path of something of the kernel's that setup.sh has put into the cache folder.
func artefact(name string) string {
	cache := os.Getenv("SERIALHUB_GUEST_DIR")
	if cache == "" {
		cache = ".cache" // beside this file, where go test runs the tests
	}
	return filepath.Join(cache, "kernel", name)
}

// missing names what setup.sh would have installed or prepared and is not there.
func missing() []string {
	var absent []string
	for _, name := range []string{"qemu-system-x86_64", "busybox"} {
		if _, err := exec.LookPath(name); err != nil {
			absent = append(absent, "the program "+name)
		}
	}
	wanted, err := os.ReadFile("setup.sh")
	if err != nil {
		return append(absent, err.Error())
	}
	if made, err := os.ReadFile(artefact("setup.sh")); err != nil || !bytes.Equal(made, wanted) {
		absent = append(absent, "the kernel in "+artefact(""))
	}
	return absent
}

// needTools skips the test if something is missing, or fails it if whoever runs the tests has run setup.sh.
func needTools(t *testing.T) {
	t.Helper()
	testenv.Need(t, "guest", missing())
}

// goStatic runs the go command such that no program it builds needs a C library.
func goStatic(args ...string) error {
	command := exec.Command("go", args...)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", command, err, output)
	}
	return nil
}

// eventually polls a condition until it holds; its last error says what was still wrong when patience ran out.
func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	testenv.Eventually(t, patience, what, condition)
}
