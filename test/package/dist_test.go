package pkg

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"serialhub/internal/testenv"
)

// TestSameBytes compares what was made in one folder with what was made in another one, with another umask.
func TestSameBytes(t *testing.T) {
	testenv.Need(t, "package", missing())
	for _, name := range []string{deb(older), archive("amd64"), strings.Replace(archive("amd64"), ".tar.gz", ".cdx.json", 1)} {
		one, err := os.ReadFile(filepath.Join(released, name))
		if err != nil {
			t.Fatal(err)
		}
		if other, err := os.ReadFile(filepath.Join(again, name)); err != nil || !bytes.Equal(one, other) {
			t.Errorf("%s is another one each time (%v)", name, err)
		}
	}
}

// TestDist looks at what is released for each architecture: a static program that runs, its contents, the checksums of all.
func TestDist(t *testing.T) {
	testenv.Need(t, "package", missing())
	here := t.TempDir()
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		if output, err := exec.Command("tar", "-xzf", filepath.Join(released, archive(arch)), "-C", here).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		program := filepath.Join(here, strings.TrimSuffix(archive(arch), ".tar.gz"), "bin/serialhub")
		file, err := elf.Open(program)
		if err != nil {
			t.Fatal(err)
		}
		if file.Machine != machine || file.Section(".interp") != nil {
			t.Errorf("the program for %s is %v, with an interpreter: %v", arch, file.Machine, file.Section(".interp") != nil)
		}
		file.Close()
		call := []string{program}
		if arch == "arm64" {
			call = []string{"qemu-aarch64-static", program}
		}
		for _, arguments := range [][]string{{"version"}, {"check", "-c", "../../configs/links.yaml"}} {
			output, err := exec.Command(call[0], append(call[1:], arguments...)...).CombinedOutput()
			if err != nil || arguments[0] == "version" && strings.TrimSpace(string(output)) != "serialhub "+older {
				t.Errorf("%s %v says %q, %v", arch, arguments, output, err)
			}
		}

		var contents struct {
			BOMFormat  string
			Metadata   struct{ Component struct{ Version string } }
			Components []struct{ Name string }
		}
		text, err := os.ReadFile(filepath.Join(released, strings.Replace(archive(arch), ".tar.gz", ".cdx.json", 1)))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &contents); err != nil || contents.BOMFormat != "CycloneDX" || contents.Metadata.Component.Version != older {
			t.Errorf("the contents for %s are %+v, %v", arch, contents, err)
		}
		if !bytes.Contains(text, []byte("github.com/oklog/run")) {
			t.Errorf("the contents for %s do not name oklog/run", arch)
		}
	}
	check := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	check.Dir = released
	output, err := check.CombinedOutput()
	if err != nil || strings.Count(string(output), ": OK") != 6 {
		t.Errorf("sha256sum says %s, %v", output, err)
	}
}

// TestLintian has Debian's own checks find nothing.
func TestLintian(t *testing.T) {
	testenv.Need(t, "package", missing())
	for _, arch := range []string{"amd64", "arm64"} {
		output, err := exec.Command("lintian", "--allow-root", "--fail-on", "error,warning", filepath.Join(released, "serialhub_"+older+"_"+arch+".deb")).CombinedOutput()
		if err != nil || len(bytes.TrimSpace(output)) > 0 {
			t.Errorf("lintian says %s, %v", output, err)
		}
	}
}

// TestManualIsClean has groff and mandoc find nothing to say of the manual pages.
func TestManualIsClean(t *testing.T) {
	testenv.Need(t, "package", missing())
	pages, err := filepath.Glob("../../packaging/man/*")
	if err != nil || len(pages) < 15 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		var complaint bytes.Buffer
		groff := exec.Command("groff", "-man", "-ww", "-Tutf8", page)
		groff.Stderr = &complaint
		if err := groff.Run(); err != nil || complaint.Len() > 0 {
			t.Errorf("groff says %s, %v", &complaint, err)
		}
		said, _ := exec.Command("mandoc", "-Tlint", page).Output() // what it says is also its exit code
		for line := range strings.Lines(string(said)) {
			if !strings.Contains(line, "missing date") { // one that means something would make each build another one
				t.Error(line)
			}
		}
	}
}

// TestScriptsAreClean has shellcheck find no fault in what the package runs, and what makes it.
func TestScriptsAreClean(t *testing.T) {
	testenv.Need(t, "package", missing())
	var scripts []string
	for _, pattern := range []string{"../../packaging/*.sh", "../../packaging/debian/p*", "*.sh", "../systemd/*.sh"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %q, %v", pattern, found, err)
		}
		scripts = append(scripts, found...)
	}
	check := exec.Command("shellcheck", append([]string{"--external-sources", "--source-path=SCRIPTDIR/../..", "--severity=warning"}, scripts...)...)
	if output, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, output)
	}
}
