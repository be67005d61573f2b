package endpoint

import (
	"os"
	"strings"
	"testing"
)

// TestIdentity reads command lines as ps shows them; “|” stands for the NUL between two arguments.
func TestIdentity(t *testing.T) {
	tests := []struct{ name, line, command, vm string }{
		{"QEMU", "qemu-system-x86_64|-m|128|-name|dbg|-serial|unix:/tmp/x", "qemu-system-x86_64", "dbg"},
		{"QEMU that comes back", "qemu-system-x86_64|-serial|unix:/tmp/x,reconnect=1", "qemu-system-x86_64", ""},
		{"QEMU that comes back, by its chardev", "qemu-system-x86_64|-chardev|socket,id=c,path=/tmp/x,reconnect-ms=1000", "qemu-system-x86_64", ""},
		{"QEMU, joined", "/usr/bin/qemu-system-x86_64|-name=dbg", "qemu-system-x86_64", "dbg"},
		{"QEMU, two dashes", "/usr/bin/qemu-system-x86_64|--name|dbg", "qemu-system-x86_64", "dbg"},
		{"QEMU, a name with a comma", "qemu-system-i386|-name|a,,b,process=x", "qemu-system-i386", "a,b"},
		{"QEMU, keys first", "qemu-system-i386|-name|debug-threads=on,guest=win7", "qemu-system-i386", "win7"},
		{"QEMU without a name", "qemu-system-i386|-m|64", "qemu-system-i386", ""},
		{"QEMU, an option that ends the line", "qemu-system-i386|-name", "qemu-system-i386", ""},
		{
			"libvirt", "/usr/bin/qemu-system-x86_64|-name|guest=win10-debugger,debug-threads=on|-S|-object|{\"qom-type\":\"secret\"}|-machine|pc-q35-7.2",
			"qemu-system-x86_64", "win10-debugger",
		},
		{"libvirt on Red Hat", "/usr/libexec/qemu-kvm|-name|guest=rhel9,debug-threads=on|-S", "qemu-kvm", "rhel9"},
		{"Proxmox", "/usr/bin/kvm|-id|100|-name|web,debug-threads=on|-no-shutdown", "kvm", "web"},
		{
			"Xen", "/usr/lib/xen-4.17/bin/qemu-system-i386|-xen-domid|5|-no-shutdown|-chardev|socket,id=libxl-cmd,fd=19,server=on,wait=off|-nodefaults|-no-user-config|-name|win7-debugger|-vnc|none|-serial|unix:/tmp/windows-debugger",
			"qemu-system-i386", "win7-debugger",
		},
		{"VirtualBox", "/usr/lib/virtualbox/VBoxHeadless|--comment|Windows 7|--startvm|8b5f0d0e-0000|--vrde|config", "VBoxHeadless", "Windows 7"},
		{"VirtualBox with a window", "/usr/lib/virtualbox/VirtualBoxVM|--comment|win7|--startvm|8b5f0d0e-0000", "VirtualBoxVM", "win7"},
		{"cloud-hypervisor", "cloud-hypervisor|--api-socket|/run/ch/web1.sock|--kernel|vmlinux", "cloud-hypervisor", "web1"},
		{"cloud-hypervisor, a key", "/usr/bin/cloud-hypervisor|--api-socket=path=/run/ch/web2.sock", "cloud-hypervisor", "web2"},
		{"cloud-hypervisor without an API", "cloud-hypervisor|--kernel|vmlinux", "cloud-hypervisor", ""},
		{"Firecracker", "/usr/bin/firecracker|--id|551e7604|--start-time-us|1", "firecracker", "551e7604"},
		{"Firecracker, joined", "firecracker|--id=vm1", "firecracker", "vm1"},
		{"a terminal", "socat|-|UNIX-CONNECT:/tmp/x", "socat", ""},
		{"a title", "sshd: root@pts/0", "sshd:", ""},
		{"a program that has options of the same name", "python3|x.py|-name|guest", "python3", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := Identity{Command: test.command, VM: test.vm, Returns: strings.Contains(test.line, "reconnect")}
			if got := identity(strings.Split(test.line, "|")); got != want {
				t.Errorf("it is %+v, want %+v", got, want)
			}
		})
	}
}

func TestIdentify(t *testing.T) {
	if got := Identify(os.Getpid()); got != (Identity{Command: "endpoint.test"}) {
		t.Errorf("this process is %+v", got)
	}
	for _, pid := range []int{0, -1, 1 << 30} {
		if got := Identify(pid); got != (Identity{}) {
			t.Errorf("pid %d is %+v", pid, got)
		}
	}
	if got := Identify(2); got.Command != "kthreadd" && got.Command != "" {
		t.Errorf("a kernel thread is %+v", got)
	}
}
