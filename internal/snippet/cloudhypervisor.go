package snippet

import (
	"fmt"
	"regexp"

	"serialhub/internal/address"
)

// guestSocket is what cloud-hypervisor calls the socket to which a guest's connection by vsock goes: that of the VM, and the port.
var guestSocket = regexp.MustCompile(`^(.+)_([0-9]+)$`)

// cloudHypervisor writes options of its command line.
func cloudHypervisor(m *meeting) (Snippet, error) {
	socket := m.instead(fmt.Sprintf(`{connect: "unix:/run/vm/%s.sock"}`, m.end.Link))
	if m.kind != address.Unix || m.abstract() {
		what := map[address.Kind]string{
			address.Unix: "a socket of the abstract namespace", address.TCP: "TCP", address.TLS: "TLS", address.PTY: "a terminal of the hub's", address.Device: "a terminal at a path of its own",
			address.VSock: "the host's vsock (its own is a unix socket)",
		}[m.kind]
		return Snippet{}, m.cannot("cloud-hypervisor's serial port cannot have "+what, socket)
	}
	if err := m.plain(`,"'[]`+"\n", "cloud-hypervisor"); err != nil {
		return Snippet{}, err
	}
	words := []string{"--serial", "socket=" + m.path, "--console", "off"}
	notes := []string{"These options go on the command line of cloud-hypervisor. A socket that a killed one has left at the path has to be removed first."}
	if !m.listens {
		parts := guestSocket.FindStringSubmatch(m.path)
		if parts == nil {
			return Snippet{}, m.cannot("cloud-hypervisor's serial port only listens", socket)
		}
		if m.CID == 0 {
			m.CID = firstCID
		}
		words = []string{"--vsock", fmt.Sprintf("cid=%d,socket=%s", m.CID, parts[1])}
		notes = []string{
			"These options go on the command line of cloud-hypervisor.",
			fmt.Sprintf("This is no serial port (that only listens: %s). In the guest a program connects: socat - VSOCK-CONNECT:2:%s.", socket, parts[2]),
		}
	}
	if m.listens && m.Port > 1 {
		return Snippet{}, m.cannot("cloud-hypervisor has one serial port", "say --port 1")
	}
	if m.listens {
		notes = append(notes, "A byte 0x0a that arrives by itself is given to the guest as 0x0d: a binary protocol, such as that of WinDbg or gdb, can stumble over it.")
	}
	line, splits := shellLine(words)
	if !splits {
		notes = append(notes, quotedNote)
	}
	return Snippet{Text: line, Notes: notes}, nil
}
