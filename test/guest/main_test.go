package guest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestMain(m *testing.M) {
	switch {
	case os.Getpid() == 1:
		serve()
	case len(os.Args) == 3 && os.Args[1] == connectCommand:
		if err := carry(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
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
	initramfs = filepath.Join(dir, "initramfs")
	hub := filepath.Join(dir, "serialhub")
	if err := goStatic("build", "-o", hub, "serialhub/cmd/serialhub"); err != nil {
		return err
	}
	init := filepath.Join(dir, "init")
	if err := goStatic("test", "-c", "-o", init, "."); err != nil {
		return err
	}
	return writeInitramfs(initramfs, init, hub)
}
