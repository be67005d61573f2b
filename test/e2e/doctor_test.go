package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDoctorBringsBackVM has a VM that was started without reconnect lose its socket, and types what doctor says: it comes back, without a restart, and bytes flow
// again, both ways.
func TestDoctorBringsBackVM(t *testing.T) {
	needTools(t)
	for _, test := range []struct {
		name    string
		monitor func(h *hub) []string
	}{
		{"monitor", func(h *hub) []string {
			return []string{"-monitor", "unix:" + h.dir + "/it's a monitor,,1,server=on,wait=off"}
		}},
		{"qmp", func(h *hub) []string {
			return []string{"-chardev", "socket,id=q,path=" + h.dir + "/qmp,server=on,wait=off", "-mon", "chardev=q,mode=control"}
		}},
		{"tcp", func(*hub) []string { return []string{"-monitor", "tcp:" + freeAddress(t) + ",server=on,wait=off"} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := startHub(t, "dbg")
			g := startGuestWith(t, "lost", append(connectOnce(h.socket("dbg", "a")), test.monitor(h)...), quietLink)
			h.waitState(t, "dbg", "half")
			if lost := h.examine(t, nil, "dbg", "a", "lost"); len(lost) > 0 {
				t.Errorf("a VM that is connected is said to be lost: %+v", lost)
			}
			if line := only(t, h.examine(t, nil, "dbg", "a", "reconnect")); line != "-serial unix:"+h.socket("dbg", "a")+",reconnect=1" {
				t.Error("the VM should have been started with ", line)
			}

			h.reset(t, "dbg", "a")
			h.waitState(t, "dbg", "waiting")
			line := only(t, h.examine(t, nil, "dbg", "a", "lost"))
			typed(t, nil, line)
			h.waitState(t, "dbg", "half")
			if lost := h.examine(t, nil, "dbg", "a", "lost"); len(lost) > 0 {
				t.Errorf("the VM is back, and said to be lost: %+v", lost)
			}

			other, err := net.Dial("unix", h.socket("dbg", "b"))
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			other.SetDeadline(time.Now().Add(patience))
			h.waitState(t, "dbg", "up")
			heard := inBackground(g, "head -n 1 </dev/ttyS1; echo from the guest >/dev/ttyS1")
			io.WriteString(other, "to the guest\n")
			if said, err := bufio.NewReader(other).ReadString('\n'); err != nil || said != "from the guest\n" {
				t.Errorf("%q, %v", said, err)
			}
			if said := heard.wait(t); said != "to the guest" {
				t.Errorf("the guest has heard %q", said)
			}

			// The one that came back has reconnect, as doctor's line says.
			h.reset(t, "dbg", "a")
			h.waitStatus(t, "dbg", "the VM comes back by itself", func(s linkStatus) bool {
				return s.Ends["a"].Connections >= 3 && s.Ends["a"].Peer.PID == g.pid()
			})
		})
	}
}

// TestDoctorBringsBackLibvirtsVM does the same with a VM that libvirt runs, for an ordinary user.
func TestDoctorBringsBackLibvirtsVM(t *testing.T) {
	needTools(t)
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	owner := newUser(t)
	h := newHub(t)
	os.Chmod(h.dir, 0o711)
	h.start(t, "  - {name: dbg, a: {listen: a, mode: \"0666\"}, b: b}\n")
	h.waitState(t, "dbg", "waiting")
	binary := filepath.Join(owner.home, "serialhub") // the folder of hubBinary is not the user's
	if out, err := exec.Command("cp", hubBinary, binary).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	l := startLibvirt(t, owner)
	l.startVM(t, "debuggee", filepath.Join(h.dir, "a"))
	other, err := net.Dial("unix", filepath.Join(h.dir, "b"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetDeadline(time.Now().Add(patience))
	h.waitState(t, "dbg", "up")
	said := newTranscript()
	go said.copyFrom(other)
	ask := func(question, answer string) {
		t.Helper()
		var asked time.Time
		eventually(t, "an answer of the VM's shell", func() error {
			if time.Since(asked) > 5*time.Second { // it may not have been there yet
				asked = time.Now()
				if _, err := io.WriteString(other, question+"\n"); err != nil {
					return err
				}
			}
			if text, _, _ := said.snapshot(); !strings.Contains(string(text), answer) {
				return fmt.Errorf("it has not said %q, but %q", answer, text)
			}
			return nil
		})
	}
	ask("echo before: $((6*7))", "before: 42")

	h.reset(t, "dbg", "a")
	h.waitState(t, "dbg", "half")
	saved := hubBinary
	hubBinary = binary
	defer func() { hubBinary = saved }()
	found := h.examine(t, owner, "dbg", "a", "lost")
	line := only(t, found)
	if want := "virsh -c qemu:///session qemu-monitor-command debuggee --hmp 'chardev-change charserial1 socket,path=" + h.dir + "/a,reconnect=1'"; line != want {
		t.Errorf("%s\nnot\n%s", line, want)
	}
	typed(t, owner, line)
	h.waitState(t, "dbg", "up")
	ask("echo after: $((6*8))", "after: 48")
}

// TestDoctorLetsIn has a VM's user shut out of a folder, and types what doctor says.
func TestDoctorLetsIn(t *testing.T) {
	needTools(t)
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	owner := newUser(t)
	h := newHub(t)
	h.start(t, "  - {name: dbg, a: {listen: a, mode: \"0666\"}, b: b}\n")
	h.waitState(t, "dbg", "waiting")
	// It goes on trying, and nobody tells why it fails.
	vm := exec.Command("qemu-system-x86_64", "-nodefaults", "-display", "none", "-S", "-serial", "unix:"+filepath.Join(h.dir, "a")+",reconnect=1")
	owner.dress(vm)
	if err := vm.Start(); err != nil {
		t.Fatal(err)
	}
	defer vm.Wait()
	defer vm.Process.Kill()
	var line string
	eventually(t, "doctor sees it", func() error {
		found := h.examine(t, nil, "dbg", "a", "access")
		if len(found) != 1 || len(found[0].Fix) != 1 {
			return fmt.Errorf("found %+v", found)
		}
		line = found[0].Fix[0]
		return nil
	})
	if line != "setfacl -m u:nobody:x "+h.dir {
		t.Error("doctor says ", line)
	}
	typed(t, nil, line)
	h.waitState(t, "dbg", "half")
	if found := h.examine(t, nil, "dbg", "a", "access"); len(found) > 0 {
		t.Errorf("it is in, and doctor says %+v", found)
	}
}
