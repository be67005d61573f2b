package snippet

import (
	"cmp"
	"fmt"
	"strings"

	"serialhub/internal/address"
)

// uarts are the base addresses and interrupts of a PC's serial ports.
func uarts() [Ports][2]string {
	return [Ports][2]string{{"0x3F8", "4"}, {"0x2F8", "3"}, {"0x3E8", "4"}, {"0x2E8", "3"}}
}

// virtualBox writes a command.
func virtualBox(m *meeting) (Snippet, error) {
	socket := fmt.Sprintf(`{connect: "unix:/run/vm/%s.sock"}`, m.end.Link)
	vm := cmp.Or(m.VM, "NAME")
	var mode []string
	var notes []string
	switch {
	case m.kind == address.VSock:
		return Snippet{}, m.cannot("VirtualBox has no vsock", m.instead(socket))
	case m.kind == address.TLS:
		return Snippet{}, m.cannot("VirtualBox has no TLS", "make it tcp: on 127.0.0.1, and take a tunnel (ssh -L), or run a hub on the VM's host that joins its socket with this one")
	case m.abstract():
		return Snippet{}, m.cannot("VirtualBox takes no socket of the abstract namespace", m.instead(socket))
	case m.kind == address.Device:
		return Snippet{}, m.cannot("VirtualBox makes no terminal for others", m.instead(socket))
	case m.kind == address.PTY:
		mode = []string{m.path}
	case m.kind == address.Unix && m.listens:
		mode = []string{"server", m.path}
	case m.kind == address.Unix:
		mode = []string{"client", m.path}
	case m.listens:
		mode = []string{"tcpserver", m.port}
		notes = append(notes, "VirtualBox listens at all addresses of its host, and cannot be told otherwise: see to the firewall.")
		m.open = false
	case strings.Contains(m.host, ":"):
		return Snippet{}, m.cannot("VirtualBox takes no IPv6 address", "say a name or an IPv4 address: --host ADDRESS")
	default:
		mode = []string{"tcpclient", m.host + ":" + m.port}
	}
	n := fmt.Sprint(m.Port)
	uart := uarts()[m.Port-1]
	line, _ := shellLine(append([]string{"VBoxManage", "modifyvm", vm, "--uart" + n, uart[0], uart[1], "--uartmode" + n}, mode...))
	notes = append([]string{"The VM has to be powered off for it, and the command is for the VM's user."}, notes...)
	if m.VM == "" {
		notes = append(notes, "NAME stands for the VM's: say --vm, or put it there.")
	}
	if !m.listens && m.kind != address.PTY {
		again, _ := shellLine(append([]string{"VBoxManage", "controlvm", vm, "changeuartmode" + n}, mode...))
		notes = append(notes,
			"As a client it connects once, when the VM starts, and the VM does not start without the hub. To connect it anew: "+strings.TrimSpace(again),
			"Better let it listen: "+m.instead(socket)+".")
	}
	return Snippet{Text: line, Notes: notes}, nil
}
