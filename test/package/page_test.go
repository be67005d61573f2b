package pkg

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"serialhub/internal/testenv"
	"serialhub/test/container"
	"serialhub/test/page"
)

const installPage = "../../docs/install.md"

// blocks are the commands of docs/install.md under a heading, each block as a script that ends where one of them fails.
func blocks(t *testing.T, path, heading string) (scripts []string) {
	t.Helper()
	p, err := page.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range p.Blocks {
		if block.Heading != heading || block.Language != "sh" {
			continue
		}
		script := "set -euo pipefail\n"
		for _, command := range block.Commands() {
			script += command.Text + "\n"
		}
		scripts = append(scripts, script)
	}
	if len(scripts) == 0 {
		t.Fatalf("%s has no commands under %q", path, heading)
	}
	return scripts
}

// follow types blocks, one after the other, in the folder of what was released.
func follow(t *testing.T, heading string, between ...func()) {
	t.Helper()
	t.Setenv("DEBIAN_FRONTEND", "noninteractive")
	t.Setenv("APT_CONFIG", container.Path("apt.conf")) // who reads the page says yes
	container.WriteFile(t, container.Path("apt.conf"), "APT::Get::Assume-Yes \"true\";\n")
	for i, script := range blocks(t, container.Path("install.md"), heading) {
		said, err := container.Run("bash", "-c", "cd "+container.Path(".")+"\n"+script)
		if err != nil {
			t.Fatalf("%s: %v", said, err)
		}
		if i < len(between) {
			between[i]()
		}
	}
}

// inDebianWithPage is inDebian with the page, and one version of everything.
func inDebianWithPage(t *testing.T) bool {
	t.Helper()
	testenv.Need(t, "package", missing())
	bring := []string{installPage}
	for _, name := range []string{deb(older), archive("amd64"), "SHA256SUMS"} {
		bring = append(bring, filepath.Join(released, name))
	}
	return container.Machine{Suite: "package", Root: root(), Bring: bring}.Inside(t)
}

// TestPageHasNoOtherCommands knows who types each of them.
func TestPageHasNoOtherCommands(t *testing.T) {
	p, err := page.Read(installPage)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]int{"Is it what was released?": 1, "Debian package": 4, "Archive": 3, "From source": 1, "Without root": 1}
	for _, block := range p.Blocks {
		known[block.Heading]--
	}
	for heading, rest := range known {
		if rest != 0 {
			t.Errorf("under %q are other blocks than the tests know (%d)", heading, -rest)
		}
	}
}

// TestPageOfPackage does what the page says of the package, in its order.
func TestPageOfPackage(t *testing.T) {
	if !inDebianWithPage(t) {
		return
	}
	before := traces(t)
	var a, b container.Peer
	follow(t, "Is it what was released?")
	follow(t, "Debian package", func() { wantVersion(t, older) }, func() { a, b = startTalking(t) }, func() { container.Converse(t, a, b) })
	wantNothingLeft(t, before)
}

// TestPageOfArchive does what the page says of the archive.
func TestPageOfArchive(t *testing.T) {
	if !inDebianWithPage(t) {
		return
	}
	before := traces(t)
	var a, b container.Peer
	pid := ""
	follow(t, "Archive", func() {
		wantVersion(t, older)
		a, b = startTalking(t)
		pid = service.Property(t, "MainPID")
	}, func() {
		container.Eventually(t, "waiting for the hub to be the new program", func() error {
			_, err := container.Run("bash", "-c", "cmp /proc/"+pid+"/exe /usr/local/bin/serialhub && ! readlink /proc/"+pid+"/exe | grep deleted")
			return err
		})
		container.Converse(t, a, b)
	})
	for _, line := range traces(t) {
		if strings.Contains(line, "serialhub") && !strings.Contains(strings.Join(before, "\n"), line) {
			t.Errorf("is left behind: %s", line)
		}
	}
}

// TestPageOfUser does what the page says of a user's own hub.
func TestPageOfUser(t *testing.T) {
	if !inDebianWithPage(t) {
		return
	}
	install(t, older)
	run(t, "systemctl start dbus.socket systemd-logind.service && useradd --create-home --uid 1000 tester && loginctl enable-linger tester")
	container.Unit("user@1000.service").WaitProperty(t, "ActiveState", "active")
	for _, script := range blocks(t, container.Path("install.md"), "Without root") {
		if said, err := container.Run("runuser", "-u", "tester", "--", "env", "HOME=/home/tester", "XDG_RUNTIME_DIR=/run/user/1000", "bash", "-c", "cd\n"+script); err != nil {
			t.Errorf("%s: %v", said, err)
		}
	}
}

// TestPageOfSource makes and installs it from a copy of this tree, below another folder; and takes it away.
func TestPageOfSource(t *testing.T) {
	testenv.Need(t, "package", missing())
	tree, dest := filepath.Join(filepath.Dir(released), "one"), t.TempDir()
	script := fmt.Sprintf("cd '%s'\n%s", tree, blocks(t, installPage, "From source")[0])
	count := func() (n int) {
		filepath.WalkDir(dest, func(_ string, entry os.DirEntry, _ error) error {
			if !entry.IsDir() {
				n++
			}
			return nil
		})
		return n
	}
	for _, lines := range []string{script, "cd '" + tree + "'\nmake uninstall"} {
		command := exec.Command("bash", "-c", lines)
		command.Env = append(os.Environ(), "DESTDIR="+dest)
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		if lines == script {
			for _, file := range []string{"usr/local/bin/serialhub", "usr/local/lib/systemd/system/serialhub.service", "etc/serialhub/links.yaml"} {
				if !exists(filepath.Join(dest, file)) {
					t.Errorf("there is no %s", file)
				}
			}
		}
	}
	if n := count(); n != 1 || !exists(filepath.Join(dest, "etc/serialhub/links.yaml")) {
		t.Errorf("%d files are left, of which the file of links should be one", n)
	}
}
