// Package qemu reads the command line of a QEMU: which sockets its serial ports and monitors are at, and how they come back.
package qemu

import (
	"cmp"
	"path/filepath"
	"strconv"
	"strings"
)

// Machine is what a QEMU's command line says of its character devices.
type Machine struct {
	Program  string   // the first word of the command line
	Name     string   // of the guest; "" if it is not said
	XenDomid string   // the number of the domain, if it is the device model of one of Xen's; "" otherwise
	Libvirt  string   // the folder that libvirt keeps for the domain, if libvirt has started it; "" otherwise
	Chardevs []Socket // in the order of the command line
	Monitors []Monitor
}

// Socket is a character device that is a socket.
type Socket struct {
	ID        string // as the monitor calls it
	Option    string // what it was written in, such as -serial
	Value     string // as it was written after that
	Path      string // of a unix socket; "@" and the name of an abstract one; "" for TCP
	Host      string // for TCP
	Port      string
	Kind      string // unix, tcp or telnet
	TLS       bool
	Server    bool // it listens
	Reconnect bool // it connects again when it has lost its peer
	Mux       bool // several share it, such as a serial port and the monitor: QEMU cannot change it while it runs
	Passed    bool // its descriptor was passed by who has started it: where it leads is not said
}

// Monitor is a way to tell a QEMU something.
type Monitor struct {
	QMP    bool // speaks JSON; else it is for people
	Where  string
	Socket *Socket // nil if it is no socket: see Where, such as stdio
}

// Is tells whether a command line is that of a QEMU.
func Is(args []string) bool {
	if len(args) == 0 {
		return false
	}
	name := filepath.Base(args[0])
	return strings.HasPrefix(name, "qemu-system-") || name == "qemu-kvm" || name == "kvm" || name == "qemu-dm" || strings.HasSuffix(name, "-qemu-kvm")
}

// Parse reads a command line. What it does not know it passes over: another version of QEMU may.
func Parse(args []string) *Machine {
	r := &reader{machine: &Machine{Program: args[0]}, byID: map[string]Socket{}, other: map[string]string{}}
	for i := 1; i < len(args); i++ {
		name, dashes := strings.CutPrefix(args[i], "-")
		if !dashes {
			continue
		}
		name = strings.TrimPrefix(name, "-")
		// QEMU knows no --option=value.
		if i+1 < len(args) && takesValue[name] {
			i++
			r.option(name, args[i])
		} else {
			r.flag(name)
		}
	}
	r.finish()
	return r.machine
}

// In has the paths that are relative begin at a folder, that in which the QEMU was started. What was written stays in Value.
func (m *Machine) In(folder string) {
	join := func(s *Socket) {
		if s.Path != "" && s.Path[0] != '@' && !filepath.IsAbs(s.Path) {
			s.Path = filepath.Join(folder, s.Path)
		}
	}
	for i := range m.Chardevs {
		join(&m.Chardevs[i])
	}
	for _, monitor := range m.Monitors {
		if monitor.Socket != nil {
			join(monitor.Socket)
		}
	}
}

// takesValue are the options of interest here whose value is the next word. A value of any other that begins with a dash is not mistaken for one of them:
// none of QEMU's looks like that.
var takesValue = map[string]bool{
	"serial": true, "parallel": true, "chardev": true, "monitor": true, "qmp": true, "qmp-pretty": true, "mon": true,
	"name": true, "xen-domid": true, "object": true, "display": true, "append": true, "fw_cfg": true, "virtiocon": true,
}

// reader gathers what a command line says.
type reader struct {
	machine   *Machine
	byID      map[string]Socket // -chardev
	other     map[string]string // its kind, for those that are no sockets
	mons      []mon
	serials   int
	hasMon    bool // a monitor of any kind was said
	nographic bool
}

// mon is a monitor on a -chardev, which may be written after it.
type mon struct {
	chardev string
	qmp     bool
}

func (r *reader) flag(name string) {
	if name == "nographic" {
		r.nographic = true
	}
	if name == "nodefaults" {
		r.hasMon = true // or rather: there is none that nobody has asked for
	}
}

func (r *reader) option(name, value string) {
	switch name {
	case "name":
		o := parseOptions(value, "guest")
		r.machine.Name = o.get("guest")
	case "xen-domid":
		r.machine.XenDomid = value
	case "object":
		if folder, found := libvirtFolder(value); found {
			r.machine.Libvirt = folder
		}
	case "chardev":
		r.chardev(value)
	case "serial", "parallel":
		id := name + strconv.Itoa(r.serials)
		if name == "parallel" {
			id = "parallel0"
		} else {
			r.serials++
		}
		if rest, mux := strings.CutPrefix(value, "mon:"); mux {
			r.hasMon = true
			if s, ok := parseLegacy(rest); ok {
				s.ID, s.Option, s.Value, s.Mux = id, "-"+name, value, true
				r.machine.Monitors = append(r.machine.Monitors, Monitor{Where: "the serial port itself (Ctrl-a c)"})
				r.machine.Chardevs = append(r.machine.Chardevs, s)
			} else {
				r.machine.Monitors = append(r.machine.Monitors, Monitor{Where: rest + " (Ctrl-a c)"})
			}
			return
		}
		if s, ok := parseLegacy(value); ok {
			s.ID, s.Option, s.Value = id, "-"+name, value
			r.machine.Chardevs = append(r.machine.Chardevs, s)
		}
	case "monitor", "qmp", "qmp-pretty":
		r.monitor(name, value)
	case "mon":
		o := parseOptions(value, "chardev")
		r.hasMon = true
		r.mons = append(r.mons, mon{chardev: o.get("chardev"), qmp: o.get("mode") == "control"})
	}
}

// chardev reads -chardev.
func (r *reader) chardev(value string) {
	o := parseOptions(value, "backend")
	id := o.get("id")
	if o.get("backend") != "socket" {
		r.other[id] = o.get("backend")
		return
	}
	s := o.socket()
	s.ID, s.Option, s.Value = id, "-chardev", value
	r.byID[id] = s
	r.machine.Chardevs = append(r.machine.Chardevs, s)
}

// monitor reads -monitor and -qmp, whose value is as that of -serial.
func (r *reader) monitor(name, value string) {
	r.hasMon = true
	m := Monitor{QMP: name != "monitor", Where: value}
	if id, named := strings.CutPrefix(value, "chardev:"); named {
		r.mons = append(r.mons, mon{chardev: id, qmp: m.QMP})
		return
	}
	if value == "none" {
		return
	}
	if s, ok := parseLegacy(value); ok {
		m.Socket = &s
	}
	r.machine.Monitors = append(r.machine.Monitors, m)
}

// finish puts together what may be written in any order.
func (r *reader) finish() {
	for _, m := range r.mons {
		found := Monitor{QMP: m.qmp, Where: cmp.Or(r.other[m.chardev], "-chardev "+m.chardev)}
		if s, ok := r.byID[m.chardev]; ok {
			found.Socket = &s
		}
		r.machine.Monitors = append(r.machine.Monitors, found)
	}
	switch {
	case r.hasMon:
	case r.nographic:
		r.machine.Monitors = append(r.machine.Monitors, Monitor{Where: "stdio (Ctrl-a c)"})
	default:
		r.machine.Monitors = append(r.machine.Monitors, Monitor{Where: "its window (Ctrl-Alt-2)"})
	}
}

// libvirtFolder finds the domain's folder in the -object that libvirt gives every QEMU: the file of its master key.
func libvirtFolder(value string) (folder string, found bool) {
	const key = "/master-key.aes"
	head, _, found := strings.Cut(value, key)
	if !found {
		return "", false
	}
	start := max(strings.LastIndexByte(head, '"'), strings.LastIndexByte(head, '='))
	return head[start+1:], true
}
