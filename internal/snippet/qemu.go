package snippet

import (
	"fmt"
	"strings"

	"serialhub/internal/address"
)

// qemu writes options of QEMU's command line.
func qemu(m *meeting) (Snippet, error) {
	words, err := m.qemuWords()
	if err != nil {
		return Snippet{}, err
	}
	line, splits := shellLine(words)
	snippet := Snippet{Text: line, Notes: m.qemuNotes("These options go")}
	if !splits {
		snippet.Notes = append(snippet.Notes, "They are quoted for a shell: paste them, or use eval; $(serialhub snippet …) would not take the quotes away.")
	}
	return snippet, nil
}

// qemuWords are the options, one word each. The short form is enough for the first port, unless it cannot have what is needed.
func (m meeting) qemuWords() ([]string, error) {
	if m.kind == address.VSock {
		return []string{"-device", fmt.Sprintf("vhost-vsock-pci,guest-cid=%d", m.CID)}, nil
	}
	if short, has := m.qemuSerial(); has && m.Port == 1 {
		return []string{"-serial", short}, nil
	}
	return m.qemuParts(), nil
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

// qemuNotes are what matters wherever QEMU has the port.
func (m meeting) qemuNotes(goes string) []string {
	notes := []string{goes + " on the command line of the VM's QEMU."}
	if m.kind == address.VSock {
		return append(notes, m.vsockNote())
	}
	if m.Port > 1 && goes == "These options go" {
		notes = append(notes, "Beside -serial for the ports before it: -serial null stands for one that nobody needs.")
	}
	return append(notes, m.qemuCautions()...)
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
			"A guest of QEMU 7.2 gets only the first bytes of what comes by TLS, until there is more; 10.0 does not do so.")
	case address.Device:
		notes = append(notes, "QEMU makes that link to its terminal from version 10.0 on. Older ones ignore path= and say /dev/pts/N: link it by hand, at each start.")
	}
	return notes
}
