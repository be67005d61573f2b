package doctor

import (
	"os"
	"strings"
	"testing"

	"serialhub/internal/rest"
)

// The lines are as kernels and auditd have written them (those of libvirt's profile and of svirt_t are from bug reports), with other paths.
const (
	apparmorVM   = `audit: type=1400 audit(1512246666.074:54): apparmor="DENIED" operation="connect" profile="libvirt-c8790efb-3d2e-4231-afe2-9ab953952274" name="PATH" pid=1337 comm="qemu-system-x86" requested_mask="wr" denied_mask="wr" fsuid=64055 ouid=0`
	apparmorHub  = `[83768.847824] type=1400 audit(1438180376.667:12391): apparmor="DENIED" operation="mknod" profile="/usr/bin/serialhub" name=HEX pid=1104 comm="serialhub" requested_mask="c" denied_mask="c" fsuid=112 ouid=112`
	allowed      = `audit: type=1400 audit(1512246666.074:55): apparmor="ALLOWED" operation="connect" profile="libvirt-c8790efb-3d2e-4231-afe2-9ab953952274" name="PATH" pid=1337 comm="qemu-system-x86"`
	selinuxTo    = `type=AVC msg=audit(1556282.985:5914): avc:  denied  { connectto } for  pid=75246 comm="qemu-kvm" path="PATH" scontext=system_u:system_r:svirt_t:s0:c875,c1021 tcontext=system_u:system_r:unconfined_service_t:s0 tclass=unix_stream_socket permissive=0`
	selinuxWrite = `type=AVC msg=audit(1775752061.555:2582): avc: denied { write } for pid=190780 comm="io-task-worker" name="a" dev="tmpfs" ino=5453 scontext=unconfined_u:unconfined_r:svirt_tcg_t:s0:c391,c437 tcontext=unconfined_u:object_r:user_tmp_t:s0 tclass=sock_file permissive=0`
)

func TestDenials(t *testing.T) {
	const local = "/etc/apparmor.d/local/abstractions/libvirt-qemu"
	for _, test := range []struct {
		name, line string
		audit      bool // it is in auditd's file, not in the kernel's log
		words      string
		fix        []string
	}{
		{"AppArmor, a VM of libvirt's", apparmorVM, false, "qemu-system-x86 of the VM with the profile libvirt-c8790efb",
			[]string{"mkdir -p /etc/apparmor.d/local/abstractions", `echo '  "PATH" rw,' >>` + local, "apparmor_parser -r /etc/apparmor.d/libvirt/libvirt-c8790efb-3d2e-4231-afe2-9ab953952274"}},
		{"AppArmor, in hexadecimal", apparmorHub, false, "serialhub, with the profile /usr/bin/serialhub, to mknod",
			[]string{"grep -rl /usr/bin/serialhub /etc/apparmor.d", `echo '  "PATH" rw,' >>/etc/apparmor.d/local/usr.bin.serialhub`, "apparmor_parser -r /etc/apparmor.d/usr.bin.serialhub"}},
		{"AppArmor, an odd name", strings.Replace(apparmorVM, "libvirt-c8790efb-3d2e-4231-afe2-9ab953952274", "a b$(id)", 1), false, "with the profile a b$(id), to connect",
			[]string{"grep -rl 'a b$(id)' /etc/apparmor.d", `echo '  "PATH" rw,' >>'/etc/apparmor.d/local/a b$(id)'`, "apparmor_parser -r '/etc/apparmor.d/a b$(id)'"}},
		{"it was let through", allowed, false, "", nil},
		{"SELinux, the process", selinuxTo, true, "qemu-kvm (svirt_t) to connectto the unix_stream_socket",
			[]string{"ausearch -m avc -ts boot -c qemu-kvm --raw | audit2allow -M serialhub_local", "semodule -i serialhub_local.pp"}},
		{"SELinux, the file", selinuxWrite, true, "io-task-worker (svirt_tcg_t) to write the sock_file",
			[]string{"ausearch -m avc -ts boot -c io-task-worker --raw | audit2allow -M serialhub_local", "semodule -i serialhub_local.pp"}},
		{"SELinux lets it through, and logs it", strings.Replace(selinuxTo, "permissive=0", "permissive=1", 1), true, "", nil},
		{"another file", strings.Replace(apparmorVM, "PATH", "/run/other", 1), false, "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, dir := newBody(t)
			b.config(dir, "  - {name: dbg, a: a, b: bb}\n")
			path := dir + "/a"
			hex := ""
			for _, c := range []byte(path) {
				hex += string("0123456789ABCDEF"[c>>4]) + string("0123456789ABCDEF"[c&15])
			}
			line := strings.NewReplacer("PATH", path, "HEX", hex).Replace(test.line)
			log := "Linux version 6.1\n" + line + "\n" + line + "\n"
			if test.audit {
				b.write("/var/log/audit/audit.log", log)
			} else {
				b.programs["journalctl -k"] = log
			}
			b.programs["dmesg"] = "Linux version 6.1\n"
			if test.words == "" {
				b.nothing("denied")
				return
			}
			for i := range test.fix {
				test.fix[i] = strings.ReplaceAll(test.fix[i], "PATH", path)
			}
			b.one("denied", Problem, "dbg a", test.words, test.fix...)
		})
	}
}

// fedora is of systemd-tmpfiles --cat-config on a machine that cleans /tmp.
const fedora = `# /usr/lib/tmpfiles.d/tmp.conf
# Clear tmp directories separately, to make them easier to override
q /tmp 1777 root root 10d
q /var/tmp 1777 root root 30d

# /usr/lib/tmpfiles.d/x11.conf
D! /tmp/.X11-unix 1777 root root 10d
x /tmp/systemd-private-%b-*
`

func TestTmpfiles(t *testing.T) {
	for _, test := range []struct {
		path, rules, age string // "" if it stays
	}{
		{"/tmp/a", "", "10d"},
		{"/tmp/deep/er/a", "", "10d"},
		{"/var/tmp/a", "", "30d"},
		{"/run/serialhub/a", "", ""},
		{"/tmp/a", "x /tmp/a\n", ""},
		{"/tmp/deep/a", "x /tmp/deep\n", ""},
		{"/tmp/deep/a", "x /tmp/de*\n", ""},
		{"/tmp/deep/a", "X /tmp/deep\n", "10d"}, // the folder alone
		{"/tmp/a", "X /tmp/a\n", ""},
		{"/tmp/mine/a", "d /tmp/mine 0755 - - -\n", ""}, // has a rule of its own, without an age
		{"/tmp/mine/a", "d /tmp/mine 0755 - - ~2h\n", "2h"},
		{"/tmp/mine/a", "d /tmp/mine 0755 - - aA:3h\n", "3h"},
		{"/srv/a", "e /srv 0755 - - 1d\n", "1d"},
		{"/srv/a", "f /srv 0755 - - 1d\n", ""},
	} {
		r, found := ageing(parseTmpfiles(fedora+test.rules), test.path)
		if found != (test.age != "") || found && r.age != test.age {
			t.Errorf("%s with %q: %v, %+v; not %q", test.path, test.rules, found, r, test.age)
		}
	}
}

// TestCleaners says what systemd-tmpfiles does, as it was measured: it spares a socket that it sees to be in use.
func TestCleaners(t *testing.T) {
	b, dir := newBody(t)
	b.config(dir, "  - {name: dbg, a: /tmp/a, b: /run/b}\n")
	b.programs["systemd-tmpfiles --cat-config"] = fedora
	b.nothing("cleaner")
	b.runs(0, rest.EndWaiting)
	for pid, namespace := range map[string]string{"1": "net:[1]", "500": "net:[2]"} {
		folder := b.machine.Folder + "/proc/" + pid + "/ns"
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(namespace, folder+"/net"); err != nil {
			t.Fatal(err)
		}
	}
	b.one("cleaner", Problem, "dbg a", "in another network namespace", "echo 'x /tmp/a' >>/etc/tmpfiles.d/serialhub.conf")
	for what, link := range map[string]string{"terminal": "{pty: /tmp/t}, b: /run/b", "transcript": "/run/a, b: /run/b, transcript: /tmp/t"} {
		b, dir := newBody(t)
		b.config(dir, "  - {name: dbg, a: "+link+"}\n")
		b.programs["systemd-tmpfiles --cat-config"] = fedora
		of := "dbg a"
		if what == "transcript" {
			of = "dbg"
		}
		b.one("cleaner", Problem, of, what+" /tmp/t when it has not been used for 10d", "echo 'x /tmp/t' >>/etc/tmpfiles.d/serialhub.conf")
	}
}

func TestOtherCleaners(t *testing.T) {
	for _, test := range []struct {
		file, text, end string
		fix             string // "" if it stays
	}{
		{"/etc/cron.daily/tmpwatch", "#! /bin/sh\n/usr/sbin/tmpwatch -umc -x /tmp/.X11-unix 10d /tmp\n", "/tmp/a", ""}, // no sockets
		{"/etc/cron.daily/tmpwatch", "/usr/sbin/tmpwatch --all \\\n 240 /tmp\n", "/tmp/a", "--exclude=/tmp/a"},
		{"/etc/cron.daily/tmpwatch", "/usr/sbin/tmpwatch --all -x /tmp/a 240 /tmp\n", "/tmp/a", ""},
		{"/etc/cron.daily/tmpwatch", "/usr/sbin/tmpwatch 240 /tmp\n", "{pty: /tmp/a}", "--exclude=/tmp/a"},
		{"/etc/cron.daily/tmpwatch", "/usr/sbin/tmpwatch -l 240 /tmp\n", "{pty: /tmp/a}", ""},
		{"/etc/crontab", "0 4 * * * root tmpreaper --all 10d /tmp\n", "/tmp/a", "--protect /tmp/a"},
		{"/etc/crontab", "0 4 * * * root tmpreaper 10d /tmp\n", "/tmp/a", ""},
		{"/etc/crontab", "# tmpreaper --all 10d /tmp\n", "/tmp/a", ""},
		{"/etc/tmpreaper.conf", "TMPREAPER_DIRS='/tmp/.'\nTMPREAPER_ADDITIONALOPTIONS='--all'\n", "/tmp/a", "TMPREAPER_PROTECT_EXTRA=/tmp/a"},
		{"/etc/tmpreaper.conf", "SHOWWARNING=true\nTMPREAPER_DIRS='/tmp/.'\nTMPREAPER_ADDITIONALOPTIONS='--all'\n", "/tmp/a", ""},
		{"/etc/tmpreaper.conf", "TMPREAPER_DIRS='/tmp/.'\nTMPREAPER_PROTECT_EXTRA='/tmp/*'\nTMPREAPER_ADDITIONALOPTIONS='--all'\n", "/tmp/a", ""},
	} {
		b, dir := newBody(t)
		b.config(dir, "  - {name: dbg, a: "+test.end+", b: /run/b}\n")
		b.write(test.file, test.text)
		if test.fix == "" {
			b.nothing("cleaner")
		} else {
			b.one("cleaner", Problem, "dbg a", "removes the", test.fix)
		}
	}
}
