package doctor

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"serialhub/internal/qemu"
)

// denial is one line of the kernel's log, or of auditd's.
type denial struct {
	selinux       bool
	profile       string // of AppArmor
	operation     string // likewise; of SELinux what was denied, such as connectto
	path          string // or the last part of it alone, from SELinux
	command       string
	source, class string // of SELinux: who wanted it, and to what kind of thing
}

// lookAtDenials tells of what AppArmor or SELinux have refused around the links' files.
func (x *examination) lookAtDenials() {
	lines, ok := x.kernelLog()
	if !ok && slices.ContainsFunc(x.ends, func(e end) bool { return e.address.Path() != "" }) {
		x.hidden("the kernel's log, for denials by AppArmor and SELinux")
	}
	for _, line := range lines {
		d, ok := parseDenial(line)
		if !ok {
			continue
		}
		for _, e := range x.ends {
			if d.concerns(e.address.Path()) {
				x.lookAtDenial(e, d)
			}
		}
	}
}

// newest is how much of a log is read, in bytes from its end.
const newest = 4 << 20

// kernelLog collects the lines that tell of denials since the machine was started.
func (x *examination) kernelLog() (lines []string, ok bool) {
	const audit = "/var/log/audit/audit.log"
	if text, err := x.machine.read(audit); err == nil {
		lines, ok = append(lines, denials(text)...), true
	}
	text, err := x.machine.Run(x.ctx, "journalctl", "-k", "-b", "-o", "cat", "--no-pager", "-q")
	if err != nil || text == "" {
		text, err = x.machine.Run(x.ctx, "dmesg")
	}
	if err == nil {
		lines, ok = append(lines, denials(text)...), true
	}
	return lines, ok
}

func denials(text string) (lines []string) {
	text = text[max(0, len(text)-newest):]
	for line := range strings.Lines(text) {
		if strings.Contains(line, `apparmor="DENIED"`) || strings.Contains(line, "avc:") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// pairs finds key=value and key="value".
var pairs = regexp.MustCompile(`([a-z_]+)=("[^"]*"|[^ ]+)`)

// denied finds what SELinux has not let be done.
var denied = regexp.MustCompile(`avc:\s+denied\s+\{ ([^}]*) \}`)

func parseDenial(line string) (d denial, ok bool) {
	values := map[string]string{}
	for _, match := range pairs.FindAllStringSubmatch(line, -1) {
		values[match[1]] = unquote(match[1], match[2])
	}
	if match := denied.FindStringSubmatch(line); match != nil {
		if values["permissive"] == "1" {
			return d, false // it was let through
		}
		d = denial{selinux: true, operation: match[1], path: values["path"], command: values["comm"], source: values["scontext"], class: values["tclass"]}
		if d.path == "" {
			d.path = values["name"]
		}
		return d, d.path != ""
	}
	if values["apparmor"] != "DENIED" {
		return d, false
	}
	d = denial{profile: values["profile"], operation: values["operation"], path: values["name"], command: values["comm"]}
	return d, d.path != ""
}

// unquote reads a value of the audit log: what has a space or a quote in it is in hexadecimal, without quotes.
func unquote(key, value string) string {
	if rest, quoted := strings.CutPrefix(value, `"`); quoted {
		return strings.TrimSuffix(rest, `"`)
	}
	if key == "name" || key == "path" || key == "comm" || key == "profile" {
		if text, err := hex.DecodeString(value); err == nil && len(text) > 0 {
			return string(text)
		}
	}
	return value
}

// concerns tells whether a denial is of the file of an end.
func (d denial) concerns(path string) bool {
	switch {
	case path == "":
		return false
	case d.path == path:
		return true
	case d.selinux && (d.class == "sock_file" || d.class == "dir") && !strings.Contains(d.path, "/"):
		return d.class == "sock_file" && d.path == filepath.Base(path)
	default:
		return false
	}
}

func (x *examination) lookAtDenial(e end, d denial) {
	path := e.address.Path()
	if d.selinux {
		x.at(e, Problem, fmt.Sprintf("SELinux has denied %s (%s) to %s the %s on %s: let it by a module of your own, made from what was denied; or use TCP on loopback", d.command, domain(d.source), d.operation, d.class, path),
			"ausearch -m avc -ts boot -c "+qemu.Quote(d.command)+" --raw | audit2allow -M serialhub_local", "semodule -i serialhub_local.pp")
		return
	}
	rule := fmt.Sprintf("  %q rw,", path)
	if strings.HasPrefix(d.profile, "libvirt-") {
		const local = "/etc/apparmor.d/local/abstractions/libvirt-qemu"
		fix := []string{"mkdir -p " + filepath.Dir(local), qemu.Echo(rule) + " >>" + local, "apparmor_parser -r " + qemu.Quote("/etc/apparmor.d/libvirt/"+d.profile)}
		x.at(e, Problem, fmt.Sprintf("AppArmor has denied %s of the VM with the profile %s to %s %s; the XML has to name the real path, or let all VMs have it:", d.command, d.profile, d.operation, path), fix...)
		return
	}
	file := strings.ReplaceAll(strings.TrimPrefix(d.profile, "/"), "/", ".")
	fix := []string{qemu.Echo(rule) + " >>" + qemu.Quote("/etc/apparmor.d/local/"+file), "apparmor_parser -r " + qemu.Quote("/etc/apparmor.d/"+file)}
	if _, err := os.Stat(filepath.Join(x.machine.Folder, "/etc/apparmor.d", file)); err != nil {
		fix = append([]string{"grep -rl " + qemu.Quote(d.profile) + " /etc/apparmor.d"}, fix...)
	}
	x.at(e, Problem, fmt.Sprintf("AppArmor has denied %s, with the profile %s, to %s %s", d.command, d.profile, d.operation, path), fix...)
}

// domain is the type in a context of SELinux.
func domain(context string) string {
	if parts := strings.Split(context, ":"); len(parts) > 2 {
		return parts[2]
	}
	return context
}
