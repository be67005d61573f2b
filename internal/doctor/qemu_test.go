package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"serialhub/internal/rest"
)

// TestReconnect sees whether a QEMU would come back, connected or not, and says what to write where it is started.
func TestReconnect(t *testing.T) {
	const xml = `<reconnect enabled='yes' timeout='1'/>`
	for _, test := range []struct {
		name string
		args string // DIR stands for the folder of the sockets
		fix  string // "" if nothing is wrong
	}{
		{"plain", "qemu-system-x86_64 -serial unix:DIR/a", "-serial unix:DIR/a,reconnect=1"},
		{"two dashes", "qemu-system-x86_64 --serial unix:DIR/a", "-serial unix:DIR/a,reconnect=1"},
		{"chardev", "kvm -chardev socket,id=c0,path=DIR/a -device isa-serial,chardev=c0", "-chardev socket,id=c0,path=DIR/a,reconnect=1"},
		{"with it", "qemu-system-x86_64 -serial unix:DIR/a,reconnect=1", ""},
		{"with the newer word", "qemu-system-x86_64 -serial unix:DIR/a,reconnect-ms=500", ""},
		{"another port has the newer word", "qemu-system-x86_64 -serial unix:DIR/x,reconnect-ms=500 -serial unix:DIR/a", "-serial unix:DIR/a,reconnect-ms=1000"},
		{"it is off", "qemu-system-x86_64 -serial unix:DIR/a,reconnect=0", "-serial unix:DIR/a,reconnect=0,reconnect=1"},
		{"it listens", "qemu-system-x86_64 -serial unix:DIR/a,server=on,wait=off", ""},
		{"another socket", "qemu-system-x86_64 -serial unix:DIR/abc", ""},
		{"TCP", "qemu-system-x86_64 -serial tcp:127.0.0.1:4555", "-serial tcp:127.0.0.1:4555,reconnect=1"},
		{"by name", "qemu-system-x86_64 -serial tcp:localhost:4555", "-serial tcp:localhost:4555,reconnect=1"},
		{"libvirt", `qemu-system-x86_64 -name guest=vm -object {"file":"/var/lib/libvirt/qemu/domain-1-vm/master-key.aes"} -chardev socket,id=charserial0,path=DIR/a`, xml},
		{"Xen", "/usr/lib/xen/bin/qemu-system-i386 -xen-domid 7 -name vm -serial unix:DIR/a", "serial = ['unix:DIR/a,reconnect=1']"},
		{"Xen, another option", "qemu-system-i386 -xen-domid 7 -chardev socket,id=c0,path=DIR/a", "-"},
		{"Xen, a quote", "qemu-system-i386 -xen-domid 7 -serial unix:DIR/a,x='+__import__", "-"},
		{"no QEMU", "socat - UNIX-CONNECT:DIR/a", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, dir := newBody(t)
			b.config(dir, "  - {name: dbg, a: a, b: {listen: 'tcp:127.0.0.1:4555'}}\n")
			b.process(700, 0, strings.Fields(strings.ReplaceAll(test.args, "DIR", dir))...)
			if test.fix == "" {
				b.nothing("reconnect")
				return
			}
			end := "dbg a"
			if strings.Contains(test.args, "4555") {
				end = "dbg b"
			}
			if test.fix == "-" { // it is found, and cannot be written for sure
				b.one("reconnect", Problem, end, "In its xl.cfg, add ,reconnect=1 to what -")
				return
			}
			b.one("reconnect", Problem, end, "without reconnect", strings.ReplaceAll(test.fix, "DIR", dir))
		})
	}
}

// TestLost says how a QEMU comes back that has lost its socket.
func TestLost(t *testing.T) {
	for _, test := range []struct{ name, args, fix string }{
		{"its monitor is a socket", "qemu-system-x86_64 -monitor unix:DIR/mon,server,nowait -serial unix:DIR/a",
			"echo 'chardev-change serial0 socket,path=DIR/a,reconnect=1' | socat -t 2 - UNIX-CONNECT:DIR/mon"},
		{"QMP", "qemu-system-x86_64 -qmp tcp:0.0.0.0:4444,server=on,wait=off -nodefaults -serial null -serial unix:DIR/a",
			`echo '{"execute":"qmp_capabilities"}' '{"execute":"human-monitor-command","arguments":{"command-line":"chardev-change serial1 socket,path=DIR/a,reconnect=1"}}' | socat -t 2 - TCP:127.0.0.1:4444`},
		{"one for people is better than QMP", "kvm -qmp unix:DIR/qmp,server=on -monitor unix:DIR/mon,server=on -chardev socket,id=c0,path=DIR/a",
			"echo 'chardev-change c0 socket,path=DIR/a,reconnect=1' | socat -t 2 - UNIX-CONNECT:DIR/mon"},
		{"its monitor is a terminal", "kvm -monitor stdio -serial unix:DIR/a", "chardev-change serial0 socket,path=DIR/a,reconnect=1"},
		{"its monitor is a window", "kvm -serial unix:DIR/a", "chardev-change serial0 socket,path=DIR/a,reconnect=1"},
		{"it has no monitor", "kvm -nodefaults -serial unix:DIR/a", ""},
		{"Xen", "/usr/lib/xen/bin/qemu-system-i386 -xen-domid 7 -name win7 -nodefaults -serial pty -serial unix:DIR/a",
			`xl qemu-monitor-command 7 "chardev-change serial1 socket,path=DIR/a,reconnect=1"`},
		{"libvirt", `kvm -name guest=win7,debug-threads=on -object {"file":"/var/lib/libvirt/qemu/domain-1-win7/master-key.aes"} -chardev socket,id=charserial0,path=DIR/a`,
			"virsh qemu-monitor-command win7 --hmp 'chardev-change charserial0 socket,path=DIR/a,reconnect=1'"},
		{"libvirt, of a user", `kvm -name guest=win7 -object {"file":"/home/u/.config/libvirt/qemu/lib/domain-1-win7/master-key.aes"} -chardev socket,id=charserial0,path=DIR/a`,
			"virsh -c qemu:///session qemu-monitor-command win7 --hmp 'chardev-change charserial0 socket,path=DIR/a,reconnect=1'"},
		{"it shares the port with its monitor", "kvm -serial mon:unix:DIR/a", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, dir := newBody(t)
			b.config(dir, "  - {name: dbg, a: a, b: b}\n")
			b.runs(0, rest.EndWaiting)
			b.process(700, 0, strings.Fields(strings.ReplaceAll(test.args, "DIR", dir))...)
			var fix []string
			if test.fix != "" {
				fix = []string{strings.ReplaceAll(test.fix, "DIR", dir)}
			}
			b.one("lost", Problem, "dbg a", "has lost its socket", fix...)
		})
	}
}

// TestQEMUListens: a QEMU that has the path or the port of an end is not to be ended.
func TestQEMUListens(t *testing.T) {
	b, dir := newBody(t)
	b.config(dir, "  - {name: dbg, a: a, b: {listen: 'tcp:127.0.0.1:4555'}}\n")
	b.runs(0, rest.EndRetrying)
	listen(t, dir+"/a")
	b.process(os.Getpid(), 0, "kvm", "-name", "vm", "-serial", "unix:"+dir+"/a,server=on,wait=off")
	b.one("file", Problem, "dbg a", "which listens there itself: have end a in "+b.patient.Path, "a: {connect: unix:"+dir+"/a}", "serialhub reload")
	b.process(os.Getpid(), 0, "kvm", "-name", "vm", "-monitor", "unix:"+dir+"/a,server=on,wait=off")
	b.one("file", Problem, "dbg a", "is in use by kvm of the VM vm (pid ", fmt.Sprintf("ps -o pid,user,args -p %d", os.Getpid()))
	if err := os.Remove(dir + "/a"); err != nil {
		t.Fatal(err)
	}
	b.write("/proc/net/tcp", tcpTable)
	b.process(800, 0, "kvm", "-serial", "tcp:127.0.0.1:4555,server=on,wait=off")
	b.open(800, 3, "socket:[9002]")
	b.one("port", Problem, "dbg b", "which listens there itself", "b: {connect: tcp:127.0.0.1:4555}", "serialhub reload")
	for text, want := range map[string]string{"unix:/a": "unix:/a", "tcp:[::1]:1": "'tcp:[::1]:1'", "it's": "'it''s'", "a, b": "'a, b'"} {
		if got := yamlWord(text); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}

// TestByAnotherPath: a QEMU names its sockets from the folder that it is in, or by a link to theirs.
func TestByAnotherPath(t *testing.T) {
	b, dir := newBody(t)
	b.config(dir, "  - {name: dbg, a: vms/a, b: b}\n")
	b.runs(0, rest.EndWaiting)
	if err := os.Mkdir(dir+"/vms", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir+"/vms", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	for path, full := range map[string]string{"vms/a": dir + "/vms/a", "./vms/../vms/a": dir + "/vms/a", "link/a": dir + "/link/a", dir + "/link/a": dir + "/link/a"} {
		b.process(700, 0, "kvm", "-monitor", "unix:vms/mon,server=on", "-serial", "unix:"+path)
		os.Remove(filepath.Join(b.machine.Folder, "proc/700/cwd"))
		if err := os.Symlink(dir, filepath.Join(b.machine.Folder, "proc/700/cwd")); err != nil {
			t.Fatal(err)
		}
		b.one("lost", Problem, "dbg a", "has lost its socket", "echo 'chardev-change serial0 socket,path="+full+",reconnect=1' | socat -t 2 - UNIX-CONNECT:"+dir+"/vms/mon")
		b.one("reconnect", Problem, "dbg a", "without reconnect", "-serial unix:"+path+",reconnect=1")
	}
	b.process(700, 0, "kvm", "-serial", "unix:other/a")
	b.nothing("lost")
}

// TestFIFO: a program that calls itself by the name of a FIFO has nobody wait.
func TestFIFO(t *testing.T) {
	b, dir := newBody(t)
	b.config(dir, "  - {name: dbg, a: a, b: b}\n")
	fifo := dir + "/qemu-system-x86_64"
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	b.process(700, 0, fifo, "-serial", "unix:"+dir+"/a")
	exe := filepath.Join(b.machine.Folder, "proc/700/exe")
	if err := os.Symlink(fifo, exe); err != nil {
		t.Fatal(err)
	}
	b.one("reconnect", Problem, "dbg a", "without reconnect", "-serial unix:"+dir+"/a,reconnect=1")
	if _, err := has(fifo, "x"); err == nil {
		t.Error("a FIFO has been read")
	}
}

// TestMountNamespace: a VM in a container means its own files by the same names, unless it has been given the folder.
func TestMountNamespace(t *testing.T) {
	for _, test := range []struct {
		name, namespace string
		root            string // what is at the root of the VM: a link, or "" for a folder without that of the sockets
		found           bool
	}{
		{"the same", "mnt:[1]", "", true}, {"the folder is shared", "mnt:[2]", "/", true}, {"its own files", "mnt:[2]", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, dir := newBody(t)
			b.config(dir, "  - {name: dbg, a: a, b: b}\n")
			b.runs(0, rest.EndWaiting)
			b.process(700, 0, "kvm", "-serial", "unix:"+dir+"/a")
			for pid, namespace := range map[string]string{"1000": "mnt:[1]", "700": test.namespace} {
				folder := filepath.Join(b.machine.Folder, "proc", pid, "ns")
				if err := os.MkdirAll(folder, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(namespace, folder+"/mnt"); err != nil {
					t.Fatal(err)
				}
			}
			root := filepath.Join(b.machine.Folder, "proc/700/root")
			if test.root != "" {
				if err := os.Symlink(test.root, root); err != nil {
					t.Fatal(err)
				}
			} else if err := os.MkdirAll(root, 0o755); err != nil {
				t.Fatal(err)
			}
			for _, check := range []string{"reconnect", "lost"} {
				if found := b.finds(check); (len(found) == 1) != test.found {
					t.Errorf("%s: %+v", check, found)
				}
			}
		})
	}
}

// TestUnprintable: a name with a newline, which a monitor or a shell would take for the end of a command, is in no line to type.
func TestUnprintable(t *testing.T) {
	for name, args := range map[string][]string{
		"libvirt":    {"-object", `{"file":"/var/lib/libvirt/qemu/domain-1-vm/master-key.aes"}`},
		"Xen":        {"-xen-domid", "7"},
		"a terminal": {"-monitor", "stdio"},
		"a socket":   {"-monitor", "unix:/run/m,server=on"},
		"QMP":        {"-qmp", "unix:/run/m,server=on"},
	} {
		t.Run(name, func(t *testing.T) {
			b, dir := newBody(t)
			b.config(dir, "  - {name: dbg, a: a, b: b}\n")
			b.runs(0, rest.EndWaiting)
			b.process(700, 0, append([]string{"kvm", "-chardev", "socket,id=c0\nquit,path=" + dir + "/a"}, args...)...)
			b.one("lost", Problem, "dbg a", "has characters that nobody would write")
			for _, f := range b.finds("reconnect") {
				for _, line := range f.Fix {
					if strings.Contains(line, "\n") {
						t.Errorf("%q", line)
					}
				}
			}
		})
	}
	x := &examination{}
	x.found(Problem, "it is wrong", "echo one", "echo two\rrm -rf")
	if f := x.findings[0]; len(f.Fix) != 0 || f.Fix == nil || !strings.Contains(f.Message, "control characters") {
		t.Errorf("%+v", f)
	}
}

// TestNotLost: whoever is connected, waits, comes back by itself, or cannot be told from another, is not.
func TestNotLost(t *testing.T) {
	pid, other, unknown := 700, 701, 0
	for _, test := range []struct {
		name  string
		args  string
		peer  *rest.Peer
		wants string // a word of what is found
	}{
		{"connected", "kvm -serial unix:DIR/a", &rest.Peer{PID: &pid}, ""},
		{"of a process that cannot be told", "kvm -serial unix:DIR/a", &rest.Peer{PID: &unknown}, ""},
		{"it comes back", "kvm -serial unix:DIR/a,reconnect=1", nil, ""},
		{"another has the end", "kvm -serial unix:DIR/a", &rest.Peer{PID: &other, Command: "gdb"}, "another is connected: gdb"},
	} {
		b, dir := newBody(t)
		b.config(dir, "  - {name: dbg, a: a, b: b}\n")
		b.runs(0, rest.EndWaiting)
		end := b.patient.Links[0].Ends["a"]
		end.Peer = test.peer
		b.patient.Links[0].Ends["a"] = end
		b.process(pid, 0, strings.Fields(strings.ReplaceAll(test.args, "DIR", dir))...)
		if test.wants == "" {
			b.nothing("lost")
		} else {
			b.one("lost", Problem, "dbg a", test.wants)
		}
	}
}

// TestNewerQEMU is told reconnect-ms, if its program has that word in it.
func TestNewerQEMU(t *testing.T) {
	b, dir := newBody(t)
	b.config(dir, "  - {name: dbg, a: a, b: b}\n")
	b.process(700, 0, "/usr/bin/qemu-system-x86_64", "-serial", "unix:"+dir+"/a")
	program := strings.Repeat("x", 1<<20-5) + "reconnect-ms\x00" + strings.Repeat("y", 1<<20)
	if err := os.WriteFile(filepath.Join(b.machine.Folder, "proc/700/exe"), []byte(program), 0o644); err != nil {
		t.Fatal(err)
	}
	b.one("reconnect", Problem, "dbg a", "without reconnect", "-serial unix:"+dir+"/a,reconnect-ms=1000")
}
