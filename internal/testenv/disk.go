package testenv

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Disk mounts a disk of 64 KiB, which is soon full. Who is not root skips the test, but for CI: SERIALHUB_TOOLS=1.
func Disk(t testing.TB) (dir string) {
	t.Helper()
	dir = Dir(t)
	err := unix.Mount("none", dir, "tmpfs", 0, "size=64k,mode=700")
	switch {
	case errors.Is(err, unix.EPERM) && os.Getenv("SERIALHUB_TOOLS") != "1":
		t.Skip("only root may mount a disk")
	case err != nil:
		t.Fatal(os.NewSyscallError("mount", err))
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(os.NewSyscallError("umount", err))
		}
	})
	return dir
}
