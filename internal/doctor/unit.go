package doctor

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"serialhub/internal/qemu"
)

// defaultUnit is what the package calls the hub's service.
const defaultUnit = "serialhub.service"

// unit is a service of systemd, with its properties as systemctl shows them. The zero unit is none.
type unit struct {
	name       string
	user       bool // of a user's own service manager
	properties map[string]string
}

func (u unit) get(property string) string { return u.properties[property] }

// inUnit finds the service in a line of /proc/PID/cgroup.
var inUnit = regexp.MustCompile(`/([A-Za-z0-9:_.\\@-]+\.service)$`)

// unitOf finds the service that the hub is: that of its process, or the one that the package has installed if no hub runs and
// that one is for this file of links.
func (m Machine) unitOf(ctx context.Context, pid int, file string) unit {
	u := unit{name: defaultUnit}
	if pid != 0 {
		text, err := m.read(fmt.Sprintf("/proc/%d/cgroup", pid))
		if err != nil {
			return unit{}
		}
		u.name = ""
		for line := range strings.Lines(text) {
			if match := inUnit.FindStringSubmatch(strings.TrimSpace(line)); match != nil {
				u.name, u.user = match[1], strings.Contains(line, "/user@")
			}
		}
		if u.name == "" {
			return unit{}
		}
	}
	args := []string{"show", u.name}
	if u.user {
		args = append([]string{"--user"}, args...)
	}
	text, err := m.Run(ctx, "systemctl", args...)
	if err != nil {
		return unit{}
	}
	u.properties = map[string]string{}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if before, again := u.properties[key]; again {
			value = before + " " + value // ReadWritePaths and others may be shown line by line
		}
		u.properties[key] = value
	}
	if u.get("LoadState") != "loaded" {
		return unit{}
	}
	if pid == 0 && !mentions(u.get("ExecStart"), file) {
		return unit{} // it serves other links
	}
	if main := u.get("MainPID"); pid != 0 && main != "" && main != fmt.Sprint(pid) {
		return unit{} // a shell of a session, in which the hub was started by hand
	}
	return u
}

// systemctl is the command, for the right manager.
func (u unit) systemctl(args string) string {
	if u.user {
		return "systemctl --user " + args
	}
	return "systemctl " + args
}

// word is the unit's name for systemctl in a shell.
func (u unit) word() string { return qemu.Quote(strings.TrimSuffix(u.name, ".service")) }

// folder is where a drop-in of the unit goes.
func (u unit) folder() string {
	if u.user {
		return "~/.config/systemd/user/" + qemu.Quote(u.name+".d")
	}
	return "/etc/systemd/system/" + qemu.Quote(u.name+".d")
}

// dropIn are the lines that add settings to the unit and have them take effect.
func (u unit) dropIn(name string, settings ...string) []string {
	// What is there already stays: other doctors' visits, with other groups and folders.
	line := `printf '%s\n' '[Service]'`
	for _, setting := range settings {
		line += " " + qemu.Quote(setting)
	}
	return []string{
		"mkdir -p " + u.folder(),
		line + " >>" + u.folder() + "/" + qemu.Quote(name+".conf"),
		u.systemctl("daemon-reload"),
		u.systemctl("restart " + u.word()),
	}
}

// restart are the lines that have the hub begin anew, with what its user has been given.
func (x *examination) restart() []string {
	if x.unit.name != "" {
		return []string{x.unit.systemctl("restart " + x.unit.word())}
	}
	return nil
}
