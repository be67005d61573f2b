package qemu_test

import (
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"serialhub/internal/qemu"
)

// libvirts is what libvirt 9.0 has started for a domain with one serial port, as /proc had it.
var libvirts = []string{"/usr/bin/qemu-system-x86_64", "-name", "guest=lvtest,debug-threads=on", "-S", "-object",
	`{"qom-type":"secret","id":"masterKey0","format":"raw","file":"/var/lib/libvirt/qemu/domain-1-lvtest/master-key.aes"}`,
	"-machine", "pc-i440fx-7.2,usb=off,dump-guest-core=off,memory-backend=pc.ram", "-accel", "tcg", "-nodefaults",
	"-chardev", "socket,id=charmonitor,fd=23,server=on,wait=off", "-mon", "chardev=charmonitor,id=monitor,mode=control", "-no-shutdown",
	"-chardev", "socket,id=charserial0,path=/tmp/lv/a", "-device", `{"driver":"isa-serial","chardev":"charserial0","id":"serial0","index":0}`,
	"-chardev", "socket,id=charserial1,path=/tmp/lv/b,reconnect=1"}

// xens is what libxl 4.17 starts.
var xens = []string{"/usr/lib/xen/bin/qemu-system-i386", "-xen-domid", "7", "-no-shutdown",
	"-chardev", "socket,id=libxl-cmd,fd=19,server=on,wait=off", "-mon", "chardev=libxl-cmd,mode=control",
	"-chardev", "socket,id=libxenstat-cmd,path=/var/run/xen/qmp-libxenstat-7,server=on,wait=off", "-mon", "chardev=libxenstat-cmd,mode=control",
	"-nodefaults", "-no-user-config", "-name", "win7,,x", "-vnc", "127.0.0.1:0,to=99", "-serial", "pty", "-serial", "unix:/tmp/dbg", "-serial", "none"}

func TestParse(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want qemu.Machine
	}{
		{name: "libvirt", args: libvirts, want: qemu.Machine{
			Program: "/usr/bin/qemu-system-x86_64", Name: "lvtest", Libvirt: "/var/lib/libvirt/qemu/domain-1-lvtest",
			Chardevs: []qemu.Socket{
				{ID: "charmonitor", Option: "-chardev", Value: "socket,id=charmonitor,fd=23,server=on,wait=off", Kind: "tcp", Server: true, Passed: true},
				{ID: "charserial0", Option: "-chardev", Value: "socket,id=charserial0,path=/tmp/lv/a", Kind: "unix", Path: "/tmp/lv/a"},
				{ID: "charserial1", Option: "-chardev", Value: "socket,id=charserial1,path=/tmp/lv/b,reconnect=1", Kind: "unix", Path: "/tmp/lv/b", Reconnect: true},
			},
			Monitors: []qemu.Monitor{{QMP: true, Where: "-chardev charmonitor",
				Socket: &qemu.Socket{ID: "charmonitor", Option: "-chardev", Value: "socket,id=charmonitor,fd=23,server=on,wait=off", Kind: "tcp", Server: true, Passed: true}}},
		}},
		{name: "ports that are no sockets count", args: []string{"qemu-system-x86_64", "-serial", "stdio", "-serial", "unix:/run/a,server,nowait", "-monitor", "none", "--serial", "tcp:[::1]:4555,reconnect-ms=1000"},
			want: qemu.Machine{Program: "qemu-system-x86_64", Chardevs: []qemu.Socket{
				{ID: "serial1", Option: "-serial", Value: "unix:/run/a,server,nowait", Kind: "unix", Path: "/run/a", Server: true},
				{ID: "serial2", Option: "-serial", Value: "tcp:[::1]:4555,reconnect-ms=1000", Kind: "tcp", Host: "::1", Port: "4555", Reconnect: true},
			}}},
		{name: "commas, abstract names, monitors", args: []string{"kvm", "-name", "process=x,guest=a,,b", "-chardev", "socket,id=c0,path=/run/a,,b,reconnect=0,server=off",
			"-chardev", "socket,id=c1,path=name,abstract=on", "-monitor", "unix:/run/m,server=on,wait=off", "-qmp", "tcp:127.0.0.1:4444,server=on"},
			want: qemu.Machine{Program: "kvm", Name: "a,b", Chardevs: []qemu.Socket{
				{ID: "c0", Option: "-chardev", Value: "socket,id=c0,path=/run/a,,b,reconnect=0,server=off", Kind: "unix", Path: "/run/a,b"},
				{ID: "c1", Option: "-chardev", Value: "socket,id=c1,path=name,abstract=on", Kind: "unix", Path: "@name"},
			}, Monitors: []qemu.Monitor{
				{Where: "unix:/run/m,server=on,wait=off", Socket: &qemu.Socket{Kind: "unix", Path: "/run/m", Server: true}},
				{QMP: true, Where: "tcp:127.0.0.1:4444,server=on", Socket: &qemu.Socket{Kind: "tcp", Host: "127.0.0.1", Port: "4444", Server: true}},
			}}},
		{name: "a port that is shared with the monitor", args: []string{"qemu-system-arm", "-serial", "mon:unix:/run/a"}, want: qemu.Machine{Program: "qemu-system-arm",
			Chardevs: []qemu.Socket{{ID: "serial0", Option: "-serial", Value: "mon:unix:/run/a", Kind: "unix", Path: "/run/a", Mux: true}},
			Monitors: []qemu.Monitor{{Where: "the serial port itself (Ctrl-a c)"}}}},
		{name: "without a word of a monitor", args: []string{"qemu-system-arm"}, want: qemu.Machine{Program: "qemu-system-arm", Monitors: []qemu.Monitor{{Where: "its window (Ctrl-Alt-2)"}}}},
		{name: "-nographic", args: []string{"qemu-system-arm", "-nographic"}, want: qemu.Machine{Program: "qemu-system-arm", Monitors: []qemu.Monitor{{Where: "stdio (Ctrl-a c)"}}}},
		{name: "an option without its value", args: []string{"qemu-system-arm", "-nodefaults", "-serial"}, want: qemu.Machine{Program: "qemu-system-arm"}},
	} {
		if got := qemu.Parse(test.args); !reflect.DeepEqual(*got, test.want) {
			t.Errorf("%s:\n%+v\nnot\n%+v", test.name, *got, test.want)
		}
	}
}

func TestXen(t *testing.T) {
	m := qemu.Parse(xens)
	last := m.Chardevs[len(m.Chardevs)-1]
	if m.XenDomid != "7" || m.Name != "win7,x" || last.ID != "serial1" || last.Path != "/tmp/dbg" || len(m.Monitors) != 2 {
		t.Errorf("%+v", m)
	}
	if got, want := last.Change("reconnect=1"), "chardev-change serial1 socket,path=/tmp/dbg,reconnect=1"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}

func TestIs(t *testing.T) {
	for program, want := range map[string]bool{"/usr/bin/qemu-system-x86_64": true, "/usr/libexec/qemu-kvm": true, "kvm": true, "qemu-img": false, "socat": false} {
		if qemu.Is([]string{program}) != want {
			t.Errorf("%s: %v", program, !want)
		}
	}
	if qemu.Is(nil) {
		t.Error("no command line is that of a QEMU")
	}
}

func TestChange(t *testing.T) {
	for _, test := range []struct {
		socket qemu.Socket
		want   string
	}{
		{qemu.Socket{ID: "serial0", Kind: "unix", Path: "/run/a,b"}, "chardev-change serial0 socket,path=/run/a,,b,reconnect=1"},
		{qemu.Socket{ID: "serial0", Kind: "unix", Path: "/run/a b"}, `chardev-change serial0 "socket,path=/run/a b,reconnect=1"`},
		{qemu.Socket{ID: "serial0", Kind: "unix", Path: "@name"}, "chardev-change serial0 socket,path=name,abstract=on,reconnect=1"},
		{qemu.Socket{ID: "c0", Kind: "tcp", Host: "::1", Port: "4555"}, "chardev-change c0 socket,host=::1,port=4555,reconnect=1"},
		{qemu.Socket{ID: "c0", Kind: "telnet", Host: "lab", Port: "23"}, "chardev-change c0 socket,host=lab,port=23,telnet=on,reconnect=1"},
		{qemu.Socket{ID: "c0", Kind: "tcp", Host: "lab", Port: "1", TLS: true, Value: "socket,id=c0,host=lab,port=1,tls-creds=t0"}, "chardev-change c0 socket,host=lab,port=1,tls-creds=t0,reconnect=1"},
	} {
		if got := test.socket.Change("reconnect=1"); got != test.want {
			t.Errorf("%s\nnot\n%s", got, test.want)
		}
	}
}

// TestLines has a shell read them: what comes out is what the monitor hears.
func TestLines(t *testing.T) {
	for _, path := range []string{"/run/a", "/run/with a space", `/run/it's "a" \x`, "/run/a,b$(false)"} {
		s := qemu.Socket{ID: "serial0", Kind: "unix", Path: path}
		command := s.Change("reconnect=1")
		for _, qmp := range []bool{false, true} {
			m := qemu.Monitor{QMP: qmp, Socket: &qemu.Socket{Kind: "unix", Path: "/run/m", Server: true}}
			line, ok := m.Tell(command)
			said, _, _ := strings.Cut(line, " | socat")
			out, err := exec.Command("sh", "-c", said).Output()
			if !ok || err != nil {
				t.Fatal(line, ok, err)
			}
			if !qmp && string(out) != command+"\n" {
				t.Errorf("%q is said as %q", command, out)
			}
			if qmp && !strings.Contains(string(out), strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(command)) {
				t.Errorf("%q is said as %q", command, out)
			}
		}
	}
	tcp := func(host, port string) *qemu.Socket {
		return &qemu.Socket{Kind: "tcp", Host: host, Port: port, Server: true}
	}
	for _, m := range []qemu.Monitor{
		{Where: "stdio"}, {Socket: &qemu.Socket{Passed: true, Server: true}}, {Socket: &qemu.Socket{Path: "/m"}},
		{Socket: tcp("127.0.0.1", "44!!EXEC:id")}, {Socket: tcp("a,fork", "44")}, {Socket: tcp("", "44,exec=id")}, {Socket: tcp("a b", "44")},
	} {
		if line, ok := m.Tell("info chardev"); ok {
			t.Errorf("%+v: %s", m, line)
		}
	}
	for host, where := range map[string]string{"": "127.0.0.1", "::": "[::1]", "fe80::1": "[fe80::1]", "lab-1.example": "lab-1.example"} {
		if line, ok := (qemu.Monitor{Socket: tcp(host, "44")}).Tell("info chardev"); !ok || !strings.HasSuffix(line, "TCP:"+where+":44") && !strings.HasSuffix(line, "'TCP:"+where+":44'") {
			t.Errorf("%s: %s", host, line)
		}
	}
	if line, ok := (qemu.Monitor{Socket: tcp("", "44")}).Tell("chardev-change a\nquit"); ok {
		t.Errorf("%q", line)
	}
}
