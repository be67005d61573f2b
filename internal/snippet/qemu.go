package snippet

import (
	"fmt"
	"strings"

	"serialhub/internal/address"
)

// qemu writes options of QEMU's command line.
func qemu(m *meeting) (Snippet, error) {
	line, splits := shellLine(m.qemuWords())
	notes := []string{"These options go on the command line of the VM's QEMU."}
	switch {
	case m.kind == address.VSock:
		notes = append(notes, m.vsockNote())
	case m.Port > 1:
		notes = append(notes, "Beside -serial for the ports before it: -serial null stands for one that nobody needs.")
	}
	notes = append(notes, m.qemuCautions()...)
	if !splits {
		notes = append(notes, quotedNote)
	}
	return Snippet{Text: line, Notes: notes}, nil
}

// qemuWords are the options, one word each. The short form is enough for the first port, unless it cannot have what is needed.
func (m meeting) qemuWords() []string {
	if m.kind == address.VSock {
		return []string{"-device", fmt.Sprintf("vhost-vsock-pci,guest-cid=%d", m.CID)}
	}
	if short, has := m.qemuSerial(); has && m.Port == 1 {
		return []string{"-serial", short}
	}
	return m.qemuParts()
}

// qemuSerial is what -serial takes, and xl's serial; it is not told if that cannot be written so.
func (m meeting) qemuSerial() (text string, has bool) {
	switch {
	case m.kind == address.Unix && !strings.Contains(m.path, "="): // what is before it would be the name of an option
		return "unix:" + comma(m.path) + m.qemuAbstract() + m.qemuSocket(), true
	case m.kind == address.TCP && !strings.Contains(m.host, ":"): // IPv6 would end at the first of them
		return "tcp:" + m.host + ":" + m.port + m.qemuSocket(), true
	default:
		return "", false
	}
}

// qemuParts are the options of the long form: a character device, and a port that has it.
func (m meeting) qemuParts() (words []string) {
	var chardev string
	switch m.kind {
	case address.Unix:
		chardev = "socket,id=" + m.id() + ",path=" + comma(m.path) + m.qemuAbstract() + m.qemuSocket()
	case address.TCP:
		chardev = "socket,id=" + m.id() + ",host=" + m.host + ",port=" + m.port + m.qemuSocket()
	case address.TLS:
		role := "client"
		if m.listens {
			role = "server"
		}
		words = append(words, "-object", "tls-creds-x509,id="+m.id()+"-tls,dir="+comma(m.Certificates)+",endpoint="+role+",verify-peer=on")
		chardev = "socket,id=" + m.id() + ",host=" + m.host + ",port=" + m.port + m.qemuSocket() + ",tls-creds=" + m.id() + "-tls"
	case address.PTY:
		chardev = "serial,id=" + m.id() + ",path=" + comma(m.path)
	case address.Device: // not in /dev: it is to be the VM's own terminal
		chardev = "pty,id=" + m.id() + ",path=" + comma(m.path)
	}
	device := "isa-serial,chardev=" + m.id()
	if m.Port > 1 {
		device += fmt.Sprintf(",index=%d", m.Port-1)
	}
	return append(words, "-chardev", chardev, "-device", device)
}

func (m meeting) qemuAbstract() string {
	if m.abstract() {
		return ",abstract=on"
	}
	return ""
}

// qemuSocket is how a socket of QEMU's comes to its peer.
func (m meeting) qemuSocket() string {
	switch {
	case m.listens:
		return ",server=on,wait=off"
	case m.Milliseconds:
		return ",reconnect-ms=1000"
	default:
		return ",reconnect=1"
	}
}

// qemuCautions are what QEMU's versions and certificates need.
func (m meeting) qemuCautions() (notes []string) {
	if !m.listens && !m.Milliseconds && (m.kind == address.Unix || m.kind == address.TCP || m.kind == address.TLS) {
		notes = append(notes, "QEMU 9.2 and later call it reconnect-ms: say --reconnect-ms for these.")
	}
	switch m.kind {
	case address.TLS:
		role := "client"
		if m.listens {
			role = "server"
		}
		notes = append(notes,
			fmt.Sprintf("In %s QEMU looks for ca-cert.pem, %s-cert.pem and %[2]s-key.pem.", m.Certificates, role),
			oldTLSNote)
	case address.Device:
		notes = append(notes, "QEMU makes that link to its terminal from version 10.0 on. Older ones ignore path= and say /dev/pts/N: link it by hand, at each start.")
	}
	return notes
}
