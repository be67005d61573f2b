package watch

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// roomy makes a disk of testenv.Disk larger.
func roomy(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT, "size=16m"); err != nil {
		t.Fatal(os.NewSyscallError("mount", err))
	}
}
