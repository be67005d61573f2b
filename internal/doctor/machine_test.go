package doctor

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"serialhub/internal/limits"
	"serialhub/internal/rest"
	"serialhub/internal/testenv"
)

// Somebody whom no group or file of this machine knows.
const stranger = 54321

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to others")
	}
}

func mode(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// listen makes a socket with a living owner.
func listen(t *testing.T, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
}

// leave makes a socket whose owner is dead.
func leave(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

// TestFolder finds the folder that a VM's user cannot enter, and types what lets it in.
func TestFolder(t *testing.T) {
	needRoot(t)
	b, dir := newBody(t)
	b.config(dir, "  - {name: dbg, a: vms/win7/a, b: b}\n")
	deep := filepath.Join(dir, "vms/win7")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	listen(t, deep+"/a")
	mode(t, deep+"/a", 0o666)
	b.process(700, stranger, "kvm", "-serial", "unix:"+deep+"/a,reconnect=1")
	for _, closed := range []string{dir, filepath.Join(dir, "vms"), deep} {
		for _, other := range []string{dir, filepath.Join(dir, "vms"), deep} {
			mode(t, other, 0o755)
		}
		b.nothing("access")
		mode(t, closed, 0o700)
		line := fmt.Sprintf("setfacl -m u:%d:x %s", stranger, closed)
		b.one("access", Problem, "dbg a", "cannot enter the folder "+closed+" ", line)
		if out, err := exec.Command(testenv.Program(t, "setfacl"), strings.Fields(line)[1:]...).CombinedOutput(); err != nil {
			t.Fatal(err, string(out))
		}
		b.nothing("access")
		if out, err := exec.Command("setfacl", "-b", closed).CombinedOutput(); err != nil {
			t.Fatal(err, string(out))
		}
	}
	b.process(700, 0, "kvm", "-serial", "unix:"+deep+"/a,reconnect=1")
	b.nothing("access") // root goes where it likes
}

// TestSocketMode finds the socket that a VM's user cannot write to, and whom allow_uids keeps out.
func TestSocketMode(t *testing.T) {
	needRoot(t)
	b, dir := newBody(t)
	mode(t, dir, 0o755)
	b.config(dir, "  - {name: dbg, a: {listen: a, allow_uids: [0]}, b: b}\n")
	b.runs(0, rest.EndWaiting)
	listen(t, dir+"/a")
	mode(t, dir+"/a", 0o600)
	b.process(700, stranger, "/usr/bin/socat", "-", "UNIX-CONNECT:"+dir+"/a")
	found := b.finds("access")
	if len(found) != 2 || strings.Join(found[0].Fix, "|") != fmt.Sprintf("allow_uids: [0, %d]|serialhub reload", stranger) ||
		strings.Join(found[1].Fix, "|") != fmt.Sprintf(`group: %d|mode: "0660"|serialhub reload`, stranger) {
		t.Errorf("%+v", found)
	}
	mode(t, dir+"/a", 0o666)
	b.config(dir, "  - {name: dbg, a: a, b: b}\n")
	b.nothing("access")
	mode(t, dir+"/a", 0o660)
	if err := os.Chown(dir+"/a", 0, stranger); err != nil {
		t.Fatal(err)
	}
	b.nothing("access")
	// A hub that may not give files away has to become a member first.
	mode(t, dir+"/a", 0o600)
	b.runs(stranger+1, rest.EndWaiting)
	b.one("access", Problem, "dbg a", "add to end a in "+b.patient.Path, fmt.Sprintf("group: %d", stranger), `mode: "0660"`, fmt.Sprintf("usermod -aG %d %d", stranger, stranger+1))
}

// TestReach finds why the hub cannot come to a VM's socket.
func TestReach(t *testing.T) {
	needRoot(t)
	b, dir := newBody(t)
	b.config(dir, "  - {name: dbg, a: {connect: 'unix:vm/sock'}, b: b}\n")
	b.runs(stranger, rest.EndRetrying)
	vm := filepath.Join(dir, "vm")
	if err := os.Mkdir(vm, 0o700); err != nil {
		t.Fatal(err)
	}
	mode(t, dir, 0o755)
	listen(t, vm+"/sock")
	mode(t, vm+"/sock", 0o700)
	b.one("access", Problem, "dbg a", "cannot enter the folder "+vm, fmt.Sprintf("setfacl -m u:%d:x %s", stranger, vm))
	mode(t, vm, 0o755)
	b.one("access", Problem, "dbg a", "may not write to "+vm+"/sock (of root:root, mode 0700)",
		fmt.Sprintf("setfacl -m u:%d:rw %s/sock", stranger, vm), fmt.Sprintf("setfacl -d -m u:%d:rw %s", stranger, vm))
	mode(t, vm+"/sock", 0o777)
	b.nothing("access")
}

// TestInTheWay finds what keeps the hub from making its files.
func TestInTheWay(t *testing.T) {
	needRoot(t)
	b, dir := newBody(t)
	b.config(dir, "  - {name: dbg, a: a, b: {pty: b}}\n")
	b.runs(stranger, rest.EndRetrying)
	both := func(words, fix string) {
		t.Helper()
		found := b.finds("file") // both ends are there
		if len(found) != 2 || !strings.Contains(found[0].Message, words) || strings.Join(found[1].Fix, "|") != fix {
			t.Errorf("%+v, not %s, %s", found, words, fix)
		}
	}
	both("cannot enter the folder "+dir, fmt.Sprintf("setfacl -m u:%d:x %s", stranger, dir))
	mode(t, dir, 0o755)
	both("cannot make a file in "+dir, fmt.Sprintf("setfacl -m u:%d:rwx %s", stranger, dir))
	mode(t, dir, 0o777|os.ModeSticky)
	b.nothing("file")

	// The real thing at the path, each in its turn.
	path := filepath.Join(dir, "a")
	for _, test := range []struct {
		name  string
		make  func() error
		words string
		fix   string
	}{
		{"a file", func() error { return os.WriteFile(path, nil, 0o600) }, "is in the way", "mv -i " + path + " " + path + ".old"},
		{"a folder", func() error { return os.Mkdir(path, 0o700) }, "is in the way", "mv -i " + path + " " + path + ".old"},
		{"a living socket", func() error { listen(t, path); return nil }, "in use by doctor.test (pid", fmt.Sprintf("ps -o pid,user,args -p %d", os.Getpid())},
		{"a dead socket of another", func() error { leave(t, path); return nil }, "it belongs to root", "sudo rm " + path},
	} {
		t.Run(test.name, func(t *testing.T) {
			b.t = t
			if err := test.make(); err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(path)
			b.process(os.Getpid(), 0, "doctor.test") // the name in the message is of /proc
			b.one("file", Problem, "dbg a", test.words, test.fix)
		})
	}
	b.t = t
	leave(t, path)
	if err := os.Chown(path, stranger, stranger); err != nil {
		t.Fatal(err)
	}
	b.nothing("file") // its own, which it takes over
	b.runs(0, rest.EndRetrying)
	if err := os.Chown(path, 0, 0); err != nil {
		t.Fatal(err)
	}
	b.nothing("file") // root may remove any

	os.Remove(path)
	if err := os.WriteFile(filepath.Join(dir, "b"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.one("file", Problem, "dbg b", "no link to a terminal", "mv -i "+dir+"/b "+dir+"/b.old")
	b.runs(0, rest.EndWaiting)
	b.nothing("file") // it is the hub's

	b.config(dir, "  - {name: dbg, a: none/a, b: "+dir+"/c}\n")
	b.runs(stranger, rest.EndRetrying)
	b.one("file", Problem, "dbg a", "the folder "+dir+"/none does not exist", "mkdir -p "+dir+"/none", fmt.Sprintf("chown %d %s/none", stranger, dir))
}

// TestOwners finds groups and users that there are not, and those that the hub cannot give to.
func TestOwners(t *testing.T) {
	b, dir := newBody(t)
	b.config(dir, "  - {name: dbg, a: {listen: a, group: nosuchgroup}, b: {listen: b, owner: nosuchuser}}\n")
	found := b.finds("owner")
	if len(found) != 2 || found[0].Fix[0] != "groupadd --system nosuchgroup" || found[1].Fix[0] != "useradd --system nosuchuser" {
		t.Errorf("%+v", found)
	}
	x := newExamination(t.Context(), b.patient, b.machine)
	x.check = "owner"
	x.lookAtGroup(x.ends[0], "$(id) it's")
	x.lookAtNewOwner(x.ends[1], "a;b")
	if len(x.findings) != 2 || x.findings[0].Fix[0] != `groupadd --system '$(id) it'\''s'` || x.findings[1].Fix[0] != "useradd --system 'a;b'" {
		t.Errorf("%+v", x.findings)
	}
	b.config(dir, "  - {name: dbg, a: {listen: a, group: dialout}, b: b}\n")
	b.nothing("owner") // root may
	b.runs(stranger, rest.EndRetrying)
	b.one("owner", Problem, "dbg a", "is not in the group dialout", fmt.Sprintf("usermod -aG dialout %d", stranger))
	b.unit("MainPID=500\n")
	b.one("owner", Problem, "dbg a", "is not in the group dialout",
		"mkdir -p /etc/systemd/system/serialhub.service.d",
		`printf '%s\n' '[Service]' SupplementaryGroups=dialout >>/etc/systemd/system/serialhub.service.d/group-dialout.conf`,
		"systemctl daemon-reload", "systemctl restart serialhub")
	group, err := osuser.LookupGroup("dialout")
	if err != nil {
		t.Fatal(err)
	}
	b.write("/proc/500/status", fmt.Sprintf("Uid:\t1\t1\t1\t1\nGid:\t1\t1\t1\t1\nGroups:\t1 %s\nCapEff:\t0\n", group.Gid))
	b.nothing("owner") // a member may
	b.config(dir, "  - {name: dbg, a: {listen: a, owner: root}, b: b}\n")
	b.one("owner", Problem, "dbg a", "may not give its file to user root", "mkdir -p /etc/systemd/system/serialhub.service.d",
		`printf '%s\n' '[Service]' 'CapabilityBoundingSet=CAP_CHOWN CAP_FOWNER' 'AmbientCapabilities=CAP_CHOWN CAP_FOWNER' >>/etc/systemd/system/serialhub.service.d/owner.conf`,
		"systemctl daemon-reload", "systemctl restart serialhub")
}

// tcpTable is the first of /proc/net/tcp on a machine where sshd (inode 9001) listens on 0.0.0.0:22, and something (9002) on 127.0.0.1:4555, and on
// 127.0.0.2:4557.
const tcpTable = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 9001 1 ffff8b1e 100 0 0 10 0
   1: 0100007F:11CB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 9002 1 ffff8b1e 100 0 0 10 0
   3: 0200007F:11CD 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 9005 1 ffff8b1e 100 0 0 10 0
   2: 0100007F:11CC 0100007F:11CB 01 00000000:00000000 00:00000000 00000000     0        0 9003 1 ffff8b1e 20 4 30 10 -1
`

// tcp6Table: something (9004) listens on [::]:4600, and on [::1]:4558.
const tcp6Table = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   1: 00000000000000000000000001000000:11CE 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 9005 1 ffff8b1e 100 0 0 10 0
   0: 00000000000000000000000000000000:11F8 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 9004 1 ffff8b1e 100 0 0 10 0
`

func TestPorts(t *testing.T) {
	for _, test := range []struct {
		listen string
		words  string // "" if nothing is wrong
		fix    string
	}{
		{"tcp:127.0.0.1:4555", "port 4555 is in use by gdbserver (pid 800); end that program, or choose another port", "ps -o pid,user,args -p 800"},
		{"tcp::4555", "port 4555 is in use by gdbserver", "ps -o pid,user,args -p 800"},
		{"tcp:127.0.0.2:4555", "", ""},
		{"tcp:localhost:4555", "port 4555 is in use by gdbserver", "ps -o pid,user,args -p 800"},
		{"tcp:localhost:4557", "", ""}, // which is of 127.0.0.2
		{"tcp:0.0.0.0:4558", "", ""},   // which is of [::1]
		{"tcp:127.0.0.1:4556", "", ""},
		{"tcp:[::1]:4555", "", ""},
		{"tcp:127.0.0.1:4600", "docker-proxy (pid 801)", "docker ps --filter publish=4600"},
		{"tls:192.0.2.7:7000", "192.0.2.7 is no address of this machine", "ip -brief address"},
		{"tcp:127.0.0.1:22", "a socket unit of systemd", "systemctl list-sockets --no-pager | grep ':22 '"},
	} {
		b, dir := newBody(t)
		line := "  - {name: dbg, a: {listen: '" + test.listen + "'}, b: b}\n"
		if strings.HasPrefix(test.listen, "tls:") {
			line = strings.Replace(line, "tls:", "tcp:", 1)
		}
		b.config(dir, line)
		b.runs(0, rest.EndRetrying)
		b.write("/proc/net/tcp", tcpTable)
		b.write("/proc/net/tcp6", tcp6Table)
		b.process(800, 0, "gdbserver", ":4555")
		b.open(800, 3, "socket:[9002]")
		b.open(800, 5, "socket:[9005]")
		b.open(800, 4, "socket:[9003]") // a connection, which is in nobody's way
		b.process(801, 0, "/usr/bin/docker-proxy")
		b.open(801, 3, "socket:[9004]")
		b.process(1, 0, "/sbin/init")
		b.open(1, 3, "socket:[9001]")
		if test.words == "" {
			b.nothing("port")
		} else {
			b.one("port", Problem, "dbg a", test.words, test.fix)
		}
		b.runs(0, rest.EndWaiting)
		b.nothing("port") // the hub has it
	}
	b, dir := newBody(t)
	b.config(dir, "  - {name: dbg, a: {listen: 'tcp:127.0.0.1:23'}, b: b}\n")
	b.runs(stranger, rest.EndRetrying)
	b.write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "1024\n")
	b.one("port", Problem, "dbg a", "may not listen on ports below 1024", "sysctl net.ipv4.ip_unprivileged_port_start=23")
	b.runs(0, rest.EndRetrying)
	b.nothing("port")
}

func TestDevices(t *testing.T) {
	needRoot(t)
	b, dir := newBody(t)
	b.config(dir, "  - {name: dbg, a: {device: /dev/nosuchtty}, b: {device: /dev/null}}\n")
	b.runs(stranger, rest.EndRetrying)
	b.one("device", Problem, "dbg a", "/dev/nosuchtty is not there", "ls -l /dev/serial/by-id/ /dev/ttyUSB* /dev/ttyACM* /dev/ttyS*")
	for program, fix := range map[string]string{
		"/usr/sbin/ModemManager": "systemctl restart ModemManager", "/sbin/agetty": "systemctl disable --now serial-getty@null", "/usr/bin/picocom": "fuser -v /dev/null", "/usr/bin/kvm": "fuser -v /dev/null",
	} {
		b, dir := newBody(t)
		b.config(dir, "  - {name: dbg, a: {device: /dev/null}, b: b}\n")
		b.runs(stranger, rest.EndRetrying)
		b.process(900, 0, program)
		b.open(900, 4, "/dev/null")
		found := b.finds("device")
		if len(found) != 1 || found[0].Fix[len(found[0].Fix)-1] != fix {
			t.Errorf("%s: %+v", program, found)
		}
	}
	_, path := testenv.NewTerminal(t)
	mode(t, path, 0o660)
	if err := os.Chown(path, 0, 0); err != nil {
		t.Fatal(err)
	}
	b, dir = newBody(t)
	b.config(dir, "  - {name: dbg, a: {device: "+path+"}, b: b}\n")
	b.runs(stranger, rest.EndRetrying)
	b.one("device", Problem, "dbg a", "it has to be in the group root", fmt.Sprintf("usermod -aG root %d", stranger))
}

// packaged are the properties of the packaged unit, as systemctl of systemd 252 shows them.
const packaged = `MainPID=500
ActiveState=active
User=serialhub
FileDescriptorStoreMax=16384
IPAddressAllow=127.0.0.0/8 ::1/128
IPAddressDeny=0.0.0.0/0 ::/0
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
ReadWritePaths=-/tmp -/run/lock
RuntimeDirectory=serialhub
LogsDirectory=serialhub
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=no
`

func TestSandbox(t *testing.T) {
	for _, test := range []struct {
		end, words, fix string // what is wrong, and the line of the drop-in
	}{
		{"/run/serialhub/a", "", ""},
		{"/tmp/a", "", ""},
		{"/srv/vms/a", "ProtectSystem=strict", "ReadWritePaths=/srv/vms"},
		{"{pty: /var/lib/vms/a}", "ProtectSystem=strict", "ReadWritePaths=/var/lib/vms"},
		{"'/srv/my vms/100%/a'", "ProtectSystem=strict", `'ReadWritePaths="/srv/my vms/100%%"'`},
		{"/home/me/a", "ProtectHome=yes", `ProtectHome=no ReadWritePaths=/home/me`},
		{"{connect: 'unix:/srv/vms/a'}", "", ""},
		{"/run/serialhub-other.a", "ProtectSystem=strict", "ReadWritePaths=/run"},
		{"{connect: 'tcp:192.0.2.7:4555'}", "does not let the hub speak with 192.0.2.7", "IPAddressAllow=192.0.2.7"},
		{"{connect: 'tcp:127.0.0.1:4555'}", "", ""},
		{"{connect: 'tcp:[2001:db8::1]:4555'}", "2001:db8::1", "IPAddressAllow=2001:db8::1"},
		{"{connect: 'vsock:3:4555'}", "vsock", "RestrictAddressFamilies=AF_VSOCK"},
	} {
		b, dir := newBody(t)
		b.config(dir, "  - {name: dbg, a: "+test.end+", b: /run/serialhub/b}\n")
		b.runs(0, rest.EndRetrying)
		b.unit(packaged)
		if test.words == "" {
			b.nothing("sandbox")
			continue
		}
		found := b.finds("sandbox")
		if len(found) != 1 || !strings.Contains(found[0].Message, test.words) || !strings.Contains(found[0].Fix[1], `printf '%s\n' '[Service]' `+test.fix+` >>`) {
			t.Errorf("%s: %+v", test.end, found)
		}
	}
	// What a socket unit has made is as it should be; what it has not made, it should make.
	for state, fix := range map[rest.EndState][]string{
		rest.EndWaiting:  nil,
		rest.EndRetrying: {"systemctl stop serialhub", "systemctl enable --now serialhub@dbg.a.socket", "systemctl start serialhub"},
	} {
		b, dir := newBody(t)
		b.config(dir, "  - {name: dbg, a: /run/serialhub-dbg.a, b: /run/serialhub/b}\n")
		b.runs(0, state)
		b.unit(packaged)
		if fix == nil {
			b.nothing("sandbox")
			continue
		}
		if found := b.finds("sandbox"); len(found) != 1 || !slices.Equal(found[0].Fix, fix) {
			t.Errorf("%+v", found)
		}
	}
	b, dir := newBody(t)
	b.config(dir, "  - {name: dbg, a: {listen: 'tcp:0.0.0.0:4555'}, b: /run/serialhub/b, transcript: '/srv/log/{link}.log'}\n")
	b.runs(0, rest.EndWaiting)
	b.unit(packaged)
	found := b.finds("sandbox")
	if len(found) != 2 || !strings.Contains(found[0].Message+found[1].Message, "/srv/log/dbg.log") || found[0].Severity == found[1].Severity {
		t.Errorf("%+v", found)
	}
	for text, is := range map[string]bool{"/srv": true, "-/srv /x": true, "/x /srv/my vms": true, `/x "/srv/my vms" /y`: true, "/srv/my": false, "/x": false} {
		if (unit{properties: map[string]string{"ReadWritePaths": text}}).writes("/srv/my vms/100%/a") != is {
			t.Errorf("%s: not %v", text, is)
		}
	}
	b.unit("MainPID=77\n" + packaged[len("MainPID=500\n"):])
	b.nothing("sandbox") // the hub was started by hand, in the session of somebody
}

func TestHub(t *testing.T) {
	for _, test := range []struct {
		unit     string
		severity Severity
		words    string
		first    string
	}{
		{"", Note, "no hub runs", "serialhub -c PATH"},
		{"ActiveState=failed\nResult=exit-code\nUnitFileState=enabled\n", Problem, "has failed (exit-code)", "systemctl status serialhub"},
		{"ActiveState=inactive\nUnitFileState=enabled\n", Problem, "is enabled and does not run", "systemctl start serialhub"},
		{"ActiveState=inactive\nUnitFileState=disabled\n", Note, "is not enabled", "systemctl enable --now serialhub"},
		{"ActiveState=activating\nUnitFileState=enabled\n", Problem, "again and again", "systemctl status serialhub"},
		{"ExecStart={ path=/usr/bin/serialhub ; argv[]=serialhub -c /etc/other.yaml ; ignore_errors=no }\nActiveState=failed\n", Note, "no hub runs", "serialhub -c PATH"},
	} {
		b, dir := newBody(t)
		b.config(dir, "  - {name: dbg, a: a, b: b}\n")
		if test.unit != "" {
			b.unit(test.unit)
		}
		found := b.finds("hub")
		if len(found) != 1 || found[0].Severity != test.severity || !strings.Contains(found[0].Message, test.words) ||
			found[0].Fix[0] != strings.ReplaceAll(test.first, "PATH", b.patient.Path) {
			t.Errorf("%q: %+v", test.unit, found)
		}
	}
}

// TestSilentHub is one that runs and has no API: what it has is not in its way.
func TestSilentHub(t *testing.T) {
	b, dir := newBody(t)
	b.config(dir, "  - {name: dbg, a: a, b: b}\napi: {listen: none}\n")
	listen(t, dir+"/a")
	b.process(os.Getpid(), 0, "/usr/bin/serialhub", "-c", b.patient.Path)
	b.nothing("file")
	b.one("hub", Note, "", fmt.Sprintf("the hub runs (pid %d) and has no API", os.Getpid()))
	b.config(dir, "  - {name: dbg, a: a, b: b}\n")
	b.one("hub", Problem, "", "cannot be asked")
}

// TestSilentHubByAnyName: its command line names the file in each way that there is.
func TestSilentHubByAnyName(t *testing.T) {
	for _, test := range []struct {
		args string
		is   bool
	}{
		{"serialhub -c DIR/links.yaml", true},
		{"serialhub -c links.yaml", true},
		{"serialhub --config=links.yaml --log-level debug", true},
		{"serialhub --log-level debug --config ./links.yaml", true},
		{"serialhub --log-level debug -c DIR/./links.yaml", true},
		{"serialhub -c other.yaml", false},
		{"serialhub status -c links.yaml", false},
		{"vi -c links.yaml", false},
	} {
		b, dir := newBody(t)
		b.config(dir, "  - {name: dbg, a: a, b: b}\n")
		b.process(700, 0, strings.Fields(strings.ReplaceAll(test.args, "DIR", dir))...)
		if err := os.Symlink(dir, filepath.Join(b.machine.Folder, "proc/700/cwd")); err != nil {
			t.Fatal(err)
		}
		if x := newExamination(t.Context(), b.patient, b.machine); (x.hubPID == 700) != test.is {
			t.Errorf("%s: pid %d", test.args, x.hubPID)
		}
	}
}

// TestHubOfAnother: what an ordinary user does not see may be the hub's, and is no problem.
func TestHubOfAnother(t *testing.T) {
	for _, test := range []struct {
		uid           int
		runs, refused bool
		severity      Severity
	}{
		{stranger, true, false, Note}, {stranger, false, true, Note}, {stranger, false, false, Problem}, {0, true, false, Problem},
	} {
		b, dir := newBody(t)
		b.config(dir, "  - {name: dbg, a: a, b: b}\n")
		b.machine.UID, b.patient.Refused = test.uid, test.refused
		if test.runs {
			b.process(700, 0, "serialhub", "-c", b.patient.Path)
		}
		x := newExamination(t.Context(), b.patient, b.machine)
		x.lookAtOwner(x.ends[0], dir+"/a") // where nobody is that can be seen
		if len(x.findings) != 1 || x.findings[0].Severity != test.severity {
			t.Errorf("%+v: %+v", test, x.findings)
		}
	}
}

// TestForgotten finds reloads that have failed or were forgotten, and a program that was replaced.
func TestForgotten(t *testing.T) {
	b, dir := newBody(t)
	b.config(dir, "  - {name: dbg, a: a, b: b}\n")
	b.runs(0, rest.EndWaiting)
	b.nothing("config")
	b.patient.Status.LastReload.At = time.Now().Add(-time.Hour)
	b.one("config", Note, "", "has been written after the hub has read it", "serialhub reload")
	b.config(dir, "  - {name: dbg, a: a, b: {pty: b}}\n  - {name: more, a: c, b: d}\n")
	b.one("config", Problem, "", "end b of dbg is listen unix:"+dir+"/b, and in the file pty "+dir+"/b; more is only in the file", "serialhub reload")
	why := "line 3 is wrong"
	b.patient.Status.LastReload = rest.LastReload{Error: &why}
	b.one("config", Problem, "", why, "serialhub check -c "+b.patient.Path, "serialhub reload")
	b.patient.Status.Config = "/elsewhere.yaml"
	b.one("config", Note, "", "runs /elsewhere.yaml", "serialhub doctor -c /elsewhere.yaml")

	program := filepath.Join(dir, "serialhub")
	exe := filepath.Join(b.machine.Folder, "proc/500/exe")
	if err := os.Symlink(program+" (deleted)", exe); err != nil {
		t.Fatal(err)
	}
	b.one("upgrade", Note, "", "has been removed")
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	b.one("upgrade", Note, "", "another program than the one that runs", "kill -USR2 500")
}

func TestLinks(t *testing.T) {
	b, dir := newBody(t)
	b.config(dir, "  - {name: dbg, a: a, b: b}\n  - {name: other, a: c, b: d}\n")
	b.runs(0, rest.EndWaiting)
	link := &b.patient.Links[0]
	link.LastError = &rest.LastError{End: "b", Message: "it does not open"}
	b.nothing("link") // an error of long ago
	link.State = rest.LinkRetrying
	b.one("link", Problem, "dbg", "goes on trying: it does not open")
	for _, side := range sides { // both, whichever has failed last
		e := link.Ends[side]
		why := "there is no room at " + side
		e.State, e.Error = rest.EndRetrying, &why
		link.Ends[side] = e
	}
	if found := b.finds("link"); len(found) != 2 || found[0].End != "a" || !strings.Contains(found[0].Message, "goes on trying: there is no room at a") ||
		found[1].End != "b" || !strings.Contains(found[1].Message, "goes on trying: there is no room at b") {
		t.Errorf("of two ends that fail, it finds %+v", found)
	}
	link.State = rest.LinkFailed
	b.one("link", Problem, "dbg b", "has failed, and is not tried again: it does not open", "serialhub reset dbg")
	b.patient.Only = []string{"other"}
	b.nothing("link")
	b.patient.Only = nil
	link.State = rest.LinkStopped
	b.one("link", Note, "dbg", "stopped", "serialhub start dbg")
}

func TestLimits(t *testing.T) {
	b, dir := newBody(t)
	b.config(dir, "  - {name: dbg, a: a, b: b}\n")
	b.patient.Need = limits.Need{Links: 100, Stashes: 100}
	b.runs(stranger, rest.EndWaiting)
	files := func(n string) string {
		return "Limit                     Soft Limit           Hard Limit           Units     \nMax processes             62987                62987                processes \nMax open files            " + n + "              524288               files     \n"
	}
	need, busy := b.patient.Need.Descriptors()
	b.write("/proc/500/limits", files("524288"))
	b.nothing("limits")
	b.write("/proc/500/limits", files("unlimited"))
	b.nothing("limits")
	b.write("/proc/500/limits", files("100"))
	b.one("limits", Problem, "", fmt.Sprintf("may have 100 descriptors, and its links need %d", need), fmt.Sprintf("prlimit --pid 500 --nofile=%d:%[1]d", busy*2))
	b.write("/proc/500/limits", files(strconv.Itoa(int(need))))
	b.one("limits", Problem, "", "enough for all peers", fmt.Sprintf("prlimit --pid 500 --nofile=%d:%[1]d", busy*2))
	b.patient.Need = limits.Need{}
	b.write("/proc/500/limits", files("200"))
	for fd := range 190 {
		b.open(500, fd, "socket:[1]")
	}
	b.one("limits", Problem, "", "has 190 descriptors open, of 200", "prlimit --pid 500 --nofile=200:200")
	b.write("/proc/500/limits", files("524288"))

	for _, test := range []struct {
		file, bad, good, words string
		severity               Severity
		fix                    string
	}{
		{"/proc/sys/fs/pipe-user-pages-hard", "100", "0", "pipe-user-pages-hard", Problem, "sysctl fs.pipe-user-pages-hard=1024"},
		{"/proc/sys/fs/pipe-user-pages-soft", "16", "16384", "pipe-user-pages-soft", Note, "sysctl fs.pipe-user-pages-soft=16384"},
		{"/proc/sys/fs/pipe-max-size", "65536", "1048576", "pipe-max-size", Note, fmt.Sprintf("sysctl fs.pipe-max-size=%d", 256*os.Getpagesize())},
		{"/proc/sys/net/core/somaxconn", "16", "4096", "somaxconn", Note, "sysctl net.core.somaxconn=128"},
	} {
		b.write(test.file, test.bad+"\n")
		b.one("limits", test.severity, "", test.words, test.fix)
		b.write(test.file, test.good+"\n")
		b.nothing("limits")
	}
	b.unit(packaged)
	b.nothing("limits")
	b.unit("MainPID=500\nFileDescriptorStoreMax=0\n")
	b.one("limits", Problem, "", "systemd keeps no descriptors", "mkdir -p /etc/systemd/system/serialhub.service.d",
		`printf '%s\n' '[Service]' FileDescriptorStoreMax=16384 >>/etc/systemd/system/serialhub.service.d/store.conf`, "systemctl daemon-reload", "systemctl restart serialhub")
}

// TestHidden says what an ordinary user does not see.
func TestHidden(t *testing.T) {
	b, dir := newBody(t)
	b.config(dir, "  - {name: dbg, a: a, b: b}\n")
	b.machine.UID = stranger
	b.one("denied", Note, "", "not looked at: the kernel's log, for denials by AppArmor and SELinux; run it as root to see it")
}
