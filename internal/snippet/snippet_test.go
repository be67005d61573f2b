package snippet_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"serialhub/internal/address"
	"serialhub/internal/snippet"
	"serialhub/internal/testenv"
)

// endAt is an end by what the file says of it: "listen" and so on, and the address.
func endAt(t *testing.T, way, text string) snippet.End {
	t.Helper()
	var at address.Address
	var err error
	switch way {
	case "pty", "device":
		at, err = address.ParseFile(address.Kind(way), text, "/")
	default:
		at, err = address.Parse(text, "/")
	}
	if err != nil {
		t.Fatal(err)
	}
	return snippet.End{Link: "dbg", Name: "a", Address: at, Connects: way == "connect"}
}

const odd = `/run/a, b='c'\d&<"é">.sock`

// rows are what is written for each hypervisor and each way to meet; err is part of the error if there is no snippet.
func rows() []row {
	const (
		own      = "in the file of links make it  a: /run/serialhub/dbg-a"
		theirs   = `in the file of links make it  a: {connect: "unix:/run/vm/dbg.sock"}`
		anywhere = "say by which of them the VM's host reaches it: --host ADDRESS"
	)
	return []row{
		// QEMU
		{"qemu", "listen", "/run/dbg", snippet.Choices{}, "-serial unix:/run/dbg,reconnect=1", ""},
		{"qemu", "listen", "/run/dbg", snippet.Choices{Milliseconds: true}, "-serial unix:/run/dbg,reconnect-ms=1000", ""},
		{"qemu", "listen", "/run/dbg", snippet.Choices{Port: 2}, "-chardev socket,id=hub-dbg-a,path=/run/dbg,reconnect=1 -device isa-serial,chardev=hub-dbg-a,index=1", ""},
		{"qemu", "connect", "unix:/run/dbg", snippet.Choices{}, "-serial unix:/run/dbg,server=on,wait=off", ""},
		{"qemu", "connect", "unix:/run/a,b", snippet.Choices{}, "-serial unix:/run/a,,b,server=on,wait=off", ""},
		{"qemu", "listen", "/run/a=b", snippet.Choices{}, "-chardev socket,id=hub-dbg-a,path=/run/a=b,reconnect=1 -device isa-serial,chardev=hub-dbg-a", ""},
		{"qemu", "listen", odd, snippet.Choices{}, `-chardev 'socket,id=hub-dbg-a,path=/run/a,, b='\''c'\''\d&<"é">.sock,reconnect=1' -device isa-serial,chardev=hub-dbg-a`, ""},
		{"qemu", "listen", "unix:@dbg", snippet.Choices{}, "-serial unix:dbg,abstract=on,reconnect=1", ""},
		{"qemu", "listen", "tcp:127.0.0.1:4555", snippet.Choices{}, "-serial tcp:127.0.0.1:4555,reconnect=1", ""},
		{"qemu", "listen", "tcp::4555", snippet.Choices{}, "", anywhere},
		{"qemu", "listen", "tcp:0.0.0.0:4555", snippet.Choices{}, "", anywhere},
		{"qemu", "listen", "tcp:[::]:4555", snippet.Choices{}, "", anywhere},
		{"qemu", "listen", "tcp::4555", snippet.Choices{Host: "hub.example"}, "-serial tcp:hub.example:4555,reconnect=1", ""},
		{"qemu", "listen", "tcp:[::1]:4555", snippet.Choices{}, "-chardev socket,id=hub-dbg-a,host=::1,port=4555,reconnect=1 -device isa-serial,chardev=hub-dbg-a", ""},
		{"qemu", "connect", "tcp:127.0.0.1:4555", snippet.Choices{}, "-serial tcp:127.0.0.1:4555,server=on,wait=off", ""},
		{"qemu", "connect", "tcp:localhost:4555", snippet.Choices{}, "-serial tcp:localhost:4555,server=on,wait=off", ""},
		{"qemu", "connect", "tcp:lab7:4555", snippet.Choices{}, "-serial tcp:0.0.0.0:4555,server=on,wait=off", ""},
		{"qemu", "connect", "tcp:lab7:4555", snippet.Choices{Host: "10.0.0.7"}, "-serial tcp:10.0.0.7:4555,server=on,wait=off", ""},
		{"qemu", "listen", "tls:10.0.0.5:4556", snippet.Choices{}, "-object tls-creds-x509,id=hub-dbg-a-tls,dir=/etc/qemu-tls,endpoint=client,verify-peer=on " +
			"-chardev socket,id=hub-dbg-a,host=10.0.0.5,port=4556,reconnect=1,tls-creds=hub-dbg-a-tls -device isa-serial,chardev=hub-dbg-a", ""},
		{"qemu", "connect", "tls:10.0.0.5:4556", snippet.Choices{Certificates: "/tls,"}, "-object tls-creds-x509,id=hub-dbg-a-tls,dir=/tls,,,endpoint=server,verify-peer=on " +
			"-chardev socket,id=hub-dbg-a,host=10.0.0.5,port=4556,server=on,wait=off,tls-creds=hub-dbg-a-tls -device isa-serial,chardev=hub-dbg-a", ""},
		{"qemu", "listen", "vsock:any:4555", snippet.Choices{}, "-device vhost-vsock-pci,guest-cid=3", ""},
		{"qemu", "listen", "vsock:host:4555", snippet.Choices{CID: 7}, "-device vhost-vsock-pci,guest-cid=7", ""},
		{"qemu", "listen", "vsock:host:4555", snippet.Choices{CID: 2}, "", "2 is not the context of a VM"},
		{"qemu", "listen", "vsock:local:4555", snippet.Choices{}, "", "make it vsock:any:PORT"},
		{"qemu", "connect", "vsock:5:4555", snippet.Choices{}, "-device vhost-vsock-pci,guest-cid=5", ""},
		{"qemu", "connect", "vsock:5:4555", snippet.Choices{CID: 6}, "", "whose context is 5, not 6"},
		{"qemu", "connect", "vsock:host:4555", snippet.Choices{}, "", "which is no VM"},
		{"qemu", "pty", "/run/dbg.tty", snippet.Choices{}, "-chardev serial,id=hub-dbg-a,path=/run/dbg.tty -device isa-serial,chardev=hub-dbg-a", ""},
		{"qemu", "device", "/run/dbg.tty", snippet.Choices{}, "-chardev pty,id=hub-dbg-a,path=/run/dbg.tty -device isa-serial,chardev=hub-dbg-a", ""},
		{"qemu", "device", "/dev/ttyUSB0", snippet.Choices{}, "", "its peer is whatever is at the other end of the cable"},
		{"qemu", "listen", "/run/dbg", snippet.Choices{Port: 5}, "", "no port 5"},
		{"hyperv", "listen", "/run/dbg", snippet.Choices{}, "", `"hyperv" is not a hypervisor`},
		// Xen
		{"xen", "listen", "/run/dbg", snippet.Choices{}, "serial = ['unix:/run/dbg,reconnect=1']", ""},
		{"xen", "listen", "/run/dbg", snippet.Choices{Port: 2}, "serial = ['pty', 'unix:/run/dbg,reconnect=1']", ""},
		{"xen", "listen", "/run/dbg", snippet.Choices{Port: 4, Milliseconds: true}, "serial = ['pty', 'null', 'null', 'unix:/run/dbg,reconnect-ms=1000']", ""},
		{"xen", "connect", `unix:/run/it's\.sock`, snippet.Choices{}, `serial = ['unix:/run/it\x27s\\.sock,server=on,wait=off']`, ""},
		{"xen", "connect", "tcp:127.0.0.1:4555", snippet.Choices{}, "serial = ['tcp:127.0.0.1:4555,server=on,wait=off']", ""},
		{"xen", "listen", "tcp:[::1]:4555", snippet.Choices{Port: 2},
			"device_model_args_hvm = ['-chardev', 'socket,id=hub-dbg-a,host=::1,port=4555,reconnect=1', '-device', 'isa-serial,chardev=hub-dbg-a,index=1']", ""},
		{"xen", "pty", "/run/dbg.tty", snippet.Choices{}, "device_model_args_hvm = ['-chardev', 'serial,id=hub-dbg-a,path=/run/dbg.tty', '-device', 'isa-serial,chardev=hub-dbg-a']", ""},
		{"xen", "listen", "vsock:any:4555", snippet.Choices{}, "", own},
		// libvirt
		{"libvirt", "listen", "/run/dbg", snippet.Choices{}, "<serial type='unix'>\n  <source mode='connect' path='/run/dbg'>\n    <reconnect enabled='yes' timeout='1'/>\n" +
			"    <seclabel model='dac' relabel='no'/>\n  </source>\n  <target port='0'/>\n</serial>", ""},
		{"libvirt", "connect", "unix:" + odd, snippet.Choices{Port: 2},
			"<serial type='unix'>\n  <source mode='bind' path='/run/a, b=&apos;c&apos;\\d&amp;&lt;&quot;é&quot;&gt;.sock'/>\n  <target port='1'/>\n</serial>", ""},
		{"libvirt", "connect", "unix:/run/\x01", snippet.Choices{}, "", "choose another path"},
		{"libvirt", "listen", "tcp::4555", snippet.Choices{Host: "127.0.0.1"}, "<serial type='tcp'>\n  <source mode='connect' host='127.0.0.1' service='4555'>\n" +
			"    <reconnect enabled='yes' timeout='1'/>\n  </source>\n  <protocol type='raw'/>\n  <target port='0'/>\n</serial>", ""},
		{"libvirt", "connect", "tls:lab7:4555", snippet.Choices{},
			"<serial type='tcp'>\n  <source mode='bind' host='0.0.0.0' service='4555' tls='yes'/>\n  <protocol type='raw'/>\n  <target port='0'/>\n</serial>", ""},
		{"libvirt", "listen", "vsock:any:4555", snippet.Choices{}, "<vsock model='virtio'>\n  <cid auto='no' address='3'/>\n</vsock>", ""},
		{"libvirt", "pty", "/run/dbg.tty", snippet.Choices{}, "<serial type='dev'>\n  <source path='/run/dbg.tty'/>\n  <target port='0'/>\n</serial>", ""},
		{"libvirt", "device", "/run/dbg.tty", snippet.Choices{}, "", theirs},
		{"libvirt", "listen", "unix:@dbg", snippet.Choices{}, "", own},
		// VirtualBox
		{"virtualbox", "connect", "unix:/run/vm/dbg.sock", snippet.Choices{}, "VBoxManage modifyvm NAME --uart1 0x3F8 4 --uartmode1 server /run/vm/dbg.sock", ""},
		{"virtualbox", "connect", "unix:/run/a b", snippet.Choices{VM: "win 7", Port: 2}, "VBoxManage modifyvm 'win 7' --uart2 0x2F8 3 --uartmode2 server '/run/a b'", ""},
		{"virtualbox", "connect", "tcp:127.0.0.1:4555", snippet.Choices{Port: 3}, "VBoxManage modifyvm NAME --uart3 0x3E8 4 --uartmode3 tcpserver 4555", ""},
		{"virtualbox", "listen", "/run/dbg", snippet.Choices{Port: 4}, "VBoxManage modifyvm NAME --uart4 0x2E8 3 --uartmode4 client /run/dbg", ""},
		{"virtualbox", "listen", "tcp:127.0.0.1:4555", snippet.Choices{}, "VBoxManage modifyvm NAME --uart1 0x3F8 4 --uartmode1 tcpclient 127.0.0.1:4555", ""},
		{"virtualbox", "listen", "tcp:[::1]:4555", snippet.Choices{}, "", "--host ADDRESS"},
		{"virtualbox", "pty", "/run/dbg.tty", snippet.Choices{}, "VBoxManage modifyvm NAME --uart1 0x3F8 4 --uartmode1 /run/dbg.tty", ""},
		{"virtualbox", "listen", "vsock:any:4555", snippet.Choices{}, "", theirs},
		{"virtualbox", "listen", "unix:@dbg", snippet.Choices{}, "", theirs},
		{"virtualbox", "device", "/run/dbg.tty", snippet.Choices{}, "", theirs},
		{"virtualbox", "listen", "tls:127.0.0.1:4555", snippet.Choices{}, "", "take a tunnel"},
		// cloud-hypervisor
		{"cloud-hypervisor", "connect", "unix:/run/vm/dbg.sock", snippet.Choices{}, "--serial socket=/run/vm/dbg.sock --console off", ""},
		{"cloud-hypervisor", "connect", "unix:/run/vm/a b", snippet.Choices{}, "--serial 'socket=/run/vm/a b' --console off", ""},
		{"cloud-hypervisor", "connect", "unix:/run/a,b", snippet.Choices{}, "", "choose another path"},
		{"cloud-hypervisor", "connect", "unix:/run/vm/dbg.sock", snippet.Choices{Port: 2}, "", "has one serial port"},
		{"cloud-hypervisor", "listen", "/run/vm/vsock_4555", snippet.Choices{}, "--vsock cid=3,socket=/run/vm/vsock", ""},
		{"cloud-hypervisor", "listen", "/run/vm/vsock_4555", snippet.Choices{CID: 9}, "--vsock cid=9,socket=/run/vm/vsock", ""},
		{"cloud-hypervisor", "listen", "/run/dbg", snippet.Choices{}, "", theirs},
		{"cloud-hypervisor", "listen", "tcp:127.0.0.1:4555", snippet.Choices{}, "", theirs},
		{"cloud-hypervisor", "listen", "vsock:any:4555", snippet.Choices{}, "", theirs},
		{"cloud-hypervisor", "pty", "/run/dbg.tty", snippet.Choices{}, "", theirs},
		{"cloud-hypervisor", "connect", "unix:@dbg", snippet.Choices{}, "", theirs},
	}
}

type row struct {
	hypervisor, way, address string
	choices                  snippet.Choices
	want, err                string
}

func (r row) write(t *testing.T) (snippet.Snippet, error) {
	t.Helper()
	return snippet.For(snippet.Hypervisor(r.hypervisor), endAt(t, r.way, r.address), r.choices)
}

func TestFor(t *testing.T) {
	for _, row := range rows() {
		got, err := row.write(t)
		switch {
		case row.err == "" && err != nil:
			t.Errorf("%s, %s %s, %+v: %v", row.hypervisor, row.way, row.address, row.choices, err)
		case row.err == "" && got.Text != row.want+"\n":
			t.Errorf("%s, %s %s, %+v:\n%s, want\n%s", row.hypervisor, row.way, row.address, row.choices, got.Text, row.want)
		case row.err != "" && (err == nil || !strings.Contains(err.Error(), row.err)):
			t.Errorf("%s, %s %s, %+v: %q and %v, want an error that says %q", row.hypervisor, row.way, row.address, row.choices, got.Text, err, row.err)
		case row.err == "" && len(got.Notes) == 0:
			t.Errorf("%s, %s %s: it does not say where that goes", row.hypervisor, row.way, row.address)
		}
	}
}

// TestXML reads what is for libvirt as XML, and finds the path as it was.
func TestXML(t *testing.T) {
	paths := map[string]bool{}
	for _, row := range rows() {
		got, err := row.write(t)
		if err != nil || row.hypervisor != string(snippet.Libvirt) {
			continue
		}
		decoder := xml.NewDecoder(strings.NewReader(got.Text))
		for {
			token, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%v in %s", err, got.Text)
			}
			if element, is := token.(xml.StartElement); is {
				for _, attribute := range element.Attr {
					paths[attribute.Value] = true
				}
			}
		}
	}
	if !paths[odd] {
		t.Errorf("no path is %s", odd)
	}
}

// TestLibvirt has libvirt's own schema judge what is for it, as virsh edit does.
func TestLibvirt(t *testing.T) {
	validate := testenv.Program(t, "virt-xml-validate")
	testenv.Program(t, "xmllint") // which it calls
	domain := func(devices string) string {
		return "<domain type='kvm'><name>vm</name><memory>131072</memory><os><type arch='x86_64' machine='pc'>hvm</type></os><devices>" + devices + "</devices></domain>"
	}
	judge := func(devices string) error {
		file := filepath.Join(t.TempDir(), "domain.xml")
		testenv.WriteFile(t, file, domain(devices))
		out, err := exec.Command(validate, file, "domain").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s in %s", err, out, devices)
		}
		return nil
	}
	if judge("<serial type='unix'><sauce/></serial>") == nil {
		t.Error("it takes everything")
	}
	for _, row := range rows() {
		got, err := row.write(t)
		if err != nil || row.hypervisor != string(snippet.Libvirt) {
			continue
		}
		if err := judge(got.Text); err != nil {
			t.Error(err)
		}
	}
}

// TestShellWords has a shell read what is for one, quotes and all.
func TestShellWords(t *testing.T) {
	for _, row := range rows() {
		got, err := row.write(t)
		if err != nil || row.hypervisor == string(snippet.Libvirt) || row.hypervisor == string(snippet.Xen) {
			continue
		}
		words := func(how string) string {
			out, err := exec.Command("sh", "-c", `text=$1; `+how+`; printf '%s\n' "$@"`, "sh", got.Text).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			return string(out)
		}
		pasted, substituted := words(`eval "set -- $text"`), words(`set -f; set -- $text`)
		told := false
		for _, note := range got.Notes {
			told = told || strings.Contains(note, "quoted for a shell")
		}
		if command := strings.HasPrefix(got.Text, "VBoxManage "); !command && (pasted == substituted) == told {
			t.Errorf("%s %s: pasted it is\n%s, substituted\n%s; told: %v", row.hypervisor, row.address, pasted, substituted, told)
		}
		if strings.Contains(row.address, odd) && !strings.Contains(pasted, "path="+strings.ReplaceAll(odd, ",", ",,")) {
			t.Errorf("%s does not have %s:\n%s", row.hypervisor, odd, pasted)
		}
	}
}

// TestPython has Python read what is for xl, whose language is a part of it.
func TestPython(t *testing.T) {
	python := testenv.Program(t, "python3")
	for _, row := range rows() {
		got, err := row.write(t)
		if err != nil || row.hypervisor != string(snippet.Xen) {
			continue
		}
		const read = `import ast, sys
tree = ast.parse(sys.argv[1])
(assignment,) = tree.body
print("\n".join(ast.literal_eval(assignment.value)))`
		out, err := exec.Command(python, "-c", read, got.Text).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s in %s", err, out, got.Text)
		}
		if path, is := strings.CutPrefix(row.address, "unix:/run/it"); is && !strings.Contains(string(out), path) {
			t.Errorf("%s has no %s", out, path)
		}
	}
}

// TestNotes says who has to be let in, as far as the file tells.
func TestNotes(t *testing.T) {
	for _, row := range []struct {
		end  snippet.End
		want string
	}{
		{snippet.End{}, "has to be let in at /run/dbg: see mode, group and allow_uids"},
		{snippet.End{Known: true, Mode: 0o600}, "Only the hub's own user, and root, can connect (mode 0600)"},
		{snippet.End{Known: true, Mode: 0o660, Group: "kvm"}, "has to be in the group kvm"},
		{snippet.End{Known: true, Mode: 0o660, Group: "kvm", NamedUIDs: true}, "the user who runs the VM has to be among them"},
	} {
		end := endAt(t, "listen", "/run/dbg")
		end.Known, end.Mode, end.Group, end.NamedUIDs = row.end.Known, row.end.Mode, row.end.Group, row.end.NamedUIDs
		for _, hypervisor := range []snippet.Hypervisor{snippet.QEMU, snippet.Xen, snippet.Libvirt, snippet.VirtualBox} {
			got, err := snippet.For(hypervisor, end, snippet.Choices{})
			if err != nil || !strings.Contains(strings.Join(got.Notes, "\n"), row.want) {
				t.Errorf("%s, %+v: %v, %q; want %q", hypervisor, row.end, err, got.Notes, row.want)
			}
		}
	}
}
