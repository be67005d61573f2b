package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"serialhub/internal/testenv"
)

// user is somebody without privileges, with a home of his own. A nil user is whoever runs the tests.
type user struct {
	uid, gid uint32
	home     string
}

// newUser takes the number of nobody, and a home that lives as long as the test.
func newUser(t *testing.T) *user {
	t.Helper()
	u := &user{uid: 65534, gid: 65534, home: testenv.Dir(t)}
	if err := os.Chown(u.home, int(u.uid), int(u.gid)); err != nil {
		t.Fatal(err)
	}
	return u
}

// dress has a command run as the user.
func (u *user) dress(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if u == nil {
		return
	}
	command.Dir = u.home
	command.SysProcAttr.Credential = &syscall.Credential{Uid: u.uid, Gid: u.gid}
	command.Env = []string{"HOME=" + u.home, "XDG_RUNTIME_DIR=" + u.home, "PATH=" + os.Getenv("PATH") + ":/usr/sbin"}
}

// libvirt is a libvirtd of a user, who has VMs of his own with it.
type libvirt struct{ owner *user }

// startLibvirt starts the daemon; it ends with the test, as do its VMs.
func startLibvirt(t *testing.T, owner *user) *libvirt {
	t.Helper()
	l := &libvirt{owner: owner}
	daemon := exec.Command("/usr/sbin/libvirtd")
	owner.dress(daemon)
	var said bytes.Buffer
	daemon.Stdout, daemon.Stderr = &said, &said
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		daemon.Process.Signal(syscall.SIGTERM)
		daemon.Wait()
		if t.Failed() {
			t.Logf("libvirtd: %s", testenv.Tail(said.String()))
		}
	})
	eventually(t, "libvirtd answers", func() error {
		_, err := l.virsh("uri")
		return err
	})
	return l
}

// virsh runs one of libvirt's commands.
func (l *libvirt) virsh(args ...string) (string, error) {
	command := exec.Command("virsh", append([]string{"-c", "qemu:///session"}, args...)...)
	l.owner.dress(command)
	out, err := command.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("virsh %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// startVM boots the tests' Linux, with its second serial port as a client of a socket, and a shell on that.
func (l *libvirt) startVM(t *testing.T, name, socket string) {
	t.Helper()
	var files [2]string
	for i, made := range []string{"vmlinux", "initramfs.gz"} { // where the user can read them
		text, err := os.ReadFile(artefact(made))
		if err == nil {
			files[i] = filepath.Join(l.owner.home, made)
			err = os.WriteFile(files[i], text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	domain := fmt.Sprintf(`<domain type='qemu'>
  <name>%s</name><memory unit='MiB'>128</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type><kernel>%s</kernel><initrd>%s</initrd><cmdline>console=ttyS1 e2e.link=shell</cmdline></os>
  <seclabel type='none'/>
  <devices><controller type='usb' model='none'/><memballoon model='none'/>
    <serial type='null'><target port='0'/></serial>
    <serial type='unix'><source mode='connect' path='%s'/><target port='1'/></serial>
  </devices>
</domain>
`, name, files[0], files[1], socket)
	file := filepath.Join(l.owner.home, "domain.xml")
	if err := os.WriteFile(file, []byte(domain), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := l.virsh("create", file); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := l.virsh("destroy", name); err != nil {
			t.Error(err)
		}
	})
}
