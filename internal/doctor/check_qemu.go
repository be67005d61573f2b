package doctor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"

	"serialhub/internal/qemu"
)

// lookAtReconnect tells of QEMUs that will be gone for good when they lose their socket.
func (x *examination) lookAtReconnect() {
	x.eachClient(func(e end, p process, s qemu.Socket) {
		if s.Reconnect {
			return
		}
		reconnect := x.reconnect(p)
		switch {
		case p.vm.Libvirt != "":
			x.at(e, Problem, fmt.Sprintf("%s was started without reconnect: once it has lost its socket, it never comes back by itself. In its XML (virsh edit), put this into the <source> of the port with that path; it is in force when the VM is started next", p),
				`<reconnect enabled='yes' timeout='1'/>`)
		case p.vm.XenDomid != "":
			const what = "%s was started without reconnect: once it has lost its socket, it never comes back by itself. In its xl.cfg, %s; it is in force when the VM is started next"
			if s.Option != "-serial" || strings.ContainsAny(s.Value, `'"\`) {
				x.at(e, Problem, fmt.Sprintf(what, p, fmt.Sprintf("add ,%s to what %s has there: %s", reconnect, s.Option, s.Value)))
				return
			}
			x.at(e, Problem, fmt.Sprintf(what, p, "this is the port, in the list serial"), fmt.Sprintf("serial = ['%s,%s']", s.Value, reconnect))
		default:
			x.at(e, Problem, fmt.Sprintf("%s was started without reconnect: once it has lost its socket, it never comes back by itself. Where it is started, write this instead of %s; it is in force when the VM is started next", p, s.Option+" "+qemu.Quote(s.Value)),
				s.WithReconnect(reconnect))
		}
	})
}

// lookAtLost tells of QEMUs that run and are not connected, although they name the end.
func (x *examination) lookAtLost() {
	if x.Status == nil {
		return // they are all lost, and come back or not when a hub is there
	}
	x.eachClient(func(e end, p process, s qemu.Socket) {
		if s.Reconnect || e.live == nil || e.disabled || e.hasPeer(p.pid) {
			return
		}
		if e.live.Peer != nil && (e.live.Peer.PID == nil || *e.live.Peer.PID == 0) {
			return // over TCP, or in another namespace: it may be that one
		}
		if s.Mux {
			x.at(e, Problem, fmt.Sprintf("%s has lost its socket, and shares that port with its monitor, so it has to be started anew", p))
			return
		}
		if other := e.live.Peer; other != nil {
			x.at(e, Problem, fmt.Sprintf("%s names this end as its serial port, but another is connected: %s", p, other.Command))
			return
		}
		message, fix := x.bringBack(p, s)
		x.at(e, Problem, fmt.Sprintf("%s has lost its socket. %s", p, message), fix...)
	})
}

// hasPeer tells whether a process is connected to the end, or waits for it.
func (e end) hasPeer(pid int) bool {
	if p := e.live.Peer; p != nil && p.PID != nil && *p.PID == pid {
		return true
	}
	for _, p := range e.live.Queued {
		if p.PID != nil && *p.PID == pid {
			return true
		}
	}
	return false
}

// eachClient calls f for each QEMU's socket that is to connect to an end.
func (x *examination) eachClient(f func(end, process, qemu.Socket)) {
	for _, e := range x.ends {
		if e.way != "listen" {
			continue
		}
		for _, p := range x.processes {
			if p.vm == nil {
				continue
			}
			for _, s := range p.vm.Chardevs {
				if !s.Server && !s.Passed && e.named(s) && !x.elsewhere(p, s.Path) {
					f(e, p, s)
				}
			}
		}
	}
}

// elsewhere tells whether a process means another file by that path: it is in another mount namespace, and the folder there is not the one that is here.
func (x *examination) elsewhere(p process, path string) bool {
	if !filepath.IsAbs(path) {
		return false
	}
	ours, err := x.machine.link(fmt.Sprintf("/proc/%d/ns/mnt", x.machine.Self))
	if err != nil {
		return false
	}
	if theirs, err := x.machine.link(fmt.Sprintf("/proc/%d/ns/mnt", p.pid)); err != nil || theirs == ours {
		return false
	}
	folder := filepath.Dir(path)
	here, err := os.Stat(folder)
	if err != nil {
		return true
	}
	there, err := os.Stat(filepath.Join(x.machine.Folder, fmt.Sprintf("/proc/%d/root", p.pid), folder))
	return err != nil || !os.SameFile(here, there)
}

// bringBack says how a VM gets its serial port again without being restarted.
func (x *examination) bringBack(p process, s qemu.Socket) (message string, fix []string) {
	command := s.Change(x.reconnect(p))
	const back = "To bring it back without restarting the VM"
	if strings.ContainsFunc(command, unicode.IsControl) { // a monitor takes a newline for the end of a command, and what follows for another
		return "Its command line has characters that nobody would write, so nothing is printed that would bring it back; look at who has started it.", nil
	}
	switch {
	case p.vm.Libvirt != "":
		message, line := back+":", "virsh "
		if !strings.HasPrefix(p.vm.Libvirt, "/var/lib/libvirt/") { // of a session
			line = "virsh -c qemu:///session "
			if u, err := x.machine.userOf(p.pid); err == nil && u.uid != x.machine.UID {
				message = fmt.Sprintf("%s, as user %s:", back, u)
			}
		}
		return message, []string{line + "qemu-monitor-command " + qemu.Quote(p.vm.Name) + " --hmp " + qemu.Quote(command)}
	case p.vm.XenDomid != "":
		return back + ":", []string{"xl qemu-monitor-command " + qemu.Quote(p.vm.XenDomid) + " " + doubleQuoted(command)}
	}
	// One for people first: it takes the command as it is.
	monitors := slices.Clone(p.vm.Monitors)
	slices.SortStableFunc(monitors, func(a, b qemu.Monitor) int { return rank(a) - rank(b) })
	for _, m := range monitors {
		if line, ok := m.Tell(command); ok {
			return back + " (if nothing is answered, another program has that monitor open):", []string{line}
		}
	}
	for _, m := range monitors {
		if m.Socket == nil && !m.QMP {
			return fmt.Sprintf("%s, type into its monitor, which is on %s:", back, m.Where), []string{command}
		}
	}
	if len(monitors) > 0 {
		return fmt.Sprintf("%s, the program that has its monitor (%s) has to tell it:", back, monitors[0].Where), []string{command}
	}
	return "It has no monitor, so it has to be started anew; with one (-monitor unix:/run/NAME.mon,server=on,wait=off) it could be brought back.", nil
}

func rank(m qemu.Monitor) int {
	if m.QMP {
		return 1
	}
	return 0
}

// doubleQuoted writes a word for a shell as the manuals of Xen do, if no shell reads anything into it.
func doubleQuoted(text string) string {
	if strings.ContainsAny(text, "\"$`\\!'") {
		return qemu.Quote(text)
	}
	return `"` + text + `"`
}

// reconnect is how this QEMU is told to connect again. Its version is not asked for, because that would be to run a program of somebody else; but a program that
// knows reconnect-ms has that word in it.
func (x *examination) reconnect(p process) string {
	if slices.ContainsFunc(p.args, func(arg string) bool { return strings.Contains(arg, "reconnect-ms=") }) {
		return qemu.Reconnect(true)
	}
	knows, err := has(filepath.Join(x.machine.Folder, fmt.Sprintf("/proc/%d/exe", p.pid)), "reconnect-ms\x00")
	if errors.Is(err, fs.ErrPermission) { // the same program, if it is not another one by now
		knows, err = has(p.args[0], "reconnect-ms\x00")
	}
	return qemu.Reconnect(err == nil && knows)
}

// has tells whether a file has a text in it.
func has(path, text string) (bool, error) {
	if !filepath.IsAbs(path) {
		return false, fs.ErrInvalid
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return false, fs.ErrInvalid // such as a FIFO, which may be named so to have whoever opens it wait
	}
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // it may have become one
	if err != nil {
		return false, err
	}
	defer file.Close() //nolint:errcheck // it was read only
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return false, fs.ErrInvalid
	}
	buffer := make([]byte, 1<<20)
	kept := 0
	for {
		n, err := io.ReadFull(file, buffer[kept:])
		if bytes.Contains(buffer[:kept+n], []byte(text)) {
			return true, nil
		}
		if err != nil {
			return false, nil
		}
		kept = copy(buffer, buffer[kept+n-len(text):kept+n])
	}
}
