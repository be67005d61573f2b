package guest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// hubBinary is the hub under test, and initramfs what guests boot with: both are made once for all tests.
var hubBinary, initramfs string

func TestMain(m *testing.M) {
	if os.Getpid() == 1 {
		serve()
	}
	os.Exit(makeAndRun(m))
}

func makeAndRun(m *testing.M) int {
	if inside || len(missing()) > 0 {
		return m.Run() // it is made, or each test says what is missing
	}
	dir, err := os.MkdirTemp("", "serialhub-guest")
	if err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := makeAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		return 1
	}
	return m.Run()
}

// makeAll makes what guests need: static programs, for there is no C library in there.
func makeAll(dir string) error {
	hubBinary, initramfs = filepath.Join(dir, "serialhub"), filepath.Join(dir, "initramfs")
	if err := goStatic("build", "-o", hubBinary, "serialhub/cmd/serialhub"); err != nil {
		return err
	}
	init := filepath.Join(dir, "init")
	if err := goStatic("test", "-c", "-o", init, "."); err != nil {
		return err
	}
	return writeInitramfs(initramfs, init)
}
