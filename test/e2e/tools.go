package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"serialhub/internal/testenv"
)

// patience bounds each single wait. It is not a measure of anything: without KVM
// and on a busy machine a step may take many times what it takes on a quiet one.
const patience = 90 * time.Second

// What setup.sh installs and prepares; every test needs all of it or most of it.
var (
	programs  = []string{"qemu-system-x86_64", "gdb", "socat", "setfacl", "virsh", "/usr/sbin/libvirtd"}
	artefacts = []struct{ name, source string }{ // the source is beside this file
		{name: "vmlinux"},
		{name: "initramfs.gz", source: "guest/init"},
		{name: "grub.img", source: "guest/grub.cfg"},
		{name: "prometheus"},
		{name: "promtool"},
	}
)

// demanded tells whether whoever runs the tests has run setup.sh and wants the
// tests to run: then what is missing is a failure, not a reason to skip.
func demanded() bool { return os.Getenv("SERIALHUB_E2E") == "1" }

// artefact is the path of something that setup.sh has put into the cache folder.
func artefact(name string) string {
	cache := os.Getenv("SERIALHUB_E2E_DIR")
	if cache == "" {
		cache = ".cache" // beside this file, where go test runs the tests
	}
	return filepath.Join(cache, name)
}

// missing names what setup.sh would have installed or prepared and is not there.
func missing() []string {
	var absent []string
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			absent = append(absent, "the program "+name)
		}
	}
	for _, a := range artefacts {
		made, err := os.Stat(artefact(a.name))
		if err != nil {
			absent = append(absent, "the file "+artefact(a.name))
			continue
		}
		// One made of an older source would not be what the tests are written for.
		if source, err := os.Stat(a.source); err == nil && source.ModTime().After(made.ModTime()) {
			absent = append(absent, fmt.Sprintf("a new %s, for it is older than %s", artefact(a.name), a.source))
		}
	}
	return absent
}

// needTools skips the test if something is missing, or fails it if the tests are demanded.
func needTools(t *testing.T) {
	t.Helper()
	testenv.Need(t, "e2e", missing())
}

// eventually polls a condition until it holds; the condition's last error says
// what was still wrong when patience ran out.
func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	testenv.Eventually(t, patience, what, condition)
}
