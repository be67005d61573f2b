package snippet

import (
	"fmt"
	"strings"

	"serialhub/internal/address"
)

// libvirt writes an element of a domain's XML.
func libvirt(m *meeting) (Snippet, error) {
	var err error
	value := func(text string) string {
		quoted, odd := xmlValue(text)
		if odd != nil {
			err = m.cannot(fmt.Sprintf("%q %v", text, odd), "choose another path")
		}
		return quoted
	}
	notes := []string{"This goes into <devices> of the domain: virsh edit NAME. It holds from the next start of the VM on."}
	var lines []string
	again := "    <reconnect enabled='yes' timeout='1'/>"
	switch {
	case m.kind == address.VSock:
		lines = []string{"<vsock model='virtio'>", fmt.Sprintf("  <cid auto='no' address='%d'/>", m.CID), "</vsock>"}
		return Snippet{Text: strings.Join(lines, "\n") + "\n", Notes: append(notes, m.vsockNote())}, nil
	case m.abstract():
		return Snippet{}, m.cannot("libvirt takes no socket of the abstract namespace", m.instead("/run/serialhub/"+m.end.Link+"-"+m.end.Name))
	case m.kind == address.Device:
		return Snippet{}, m.cannot("libvirt gives a VM's terminal another path at each start", m.instead(`{connect: "unix:/run/vm/`+m.end.Link+`.sock"}`))
	case m.kind == address.PTY:
		lines = []string{"<serial type='dev'>", "  <source path=" + value(m.path) + "/>"}
		notes = append(notes, "libvirt changes the owner of the terminal.")
	case m.kind == address.Unix && m.listens:
		lines = []string{"<serial type='unix'>", "  <source mode='bind' path=" + value(m.path) + "/>"}
	case m.kind == address.Unix:
		lines = []string{"<serial type='unix'>", "  <source mode='connect' path=" + value(m.path) + ">", again, "    <seclabel model='dac' relabel='no'/>", "  </source>"}
		notes = append(notes,
			"QEMU connects as the user of VMs, not as libvirt: libvirt-qemu of group kvm in Debian, qemu in Fedora.",
			"AppArmor is told of the path by libvirt, if it is the real one, without symlinks. SELinux refuses it to a VM, unless its policy is changed: take tcp on 127.0.0.1 there, or let the VM listen.")
	default: // TCP and TLS
		tls := ""
		if m.kind == address.TLS {
			tls = " tls='yes'"
			notes = append(notes, "The certificates are in chardev_tls_x509_cert_dir of /etc/libvirt/qemu.conf.", oldTLSNote)
		}
		source := fmt.Sprintf("host=%s service='%s'%s", value(m.host), m.port, tls)
		lines = []string{"<serial type='tcp'>", "  <source mode='bind' " + source + "/>"}
		if !m.listens {
			lines = []string{"<serial type='tcp'>", "  <source mode='connect' " + source + ">", again, "  </source>"}
		}
		lines = append(lines, "  <protocol type='raw'/>")
	}
	lines = append(lines, fmt.Sprintf("  <target port='%d'/>", m.Port-1), "</serial>")
	if m.Port == 1 {
		notes = append(notes, "If the VM has a <serial> already, that is its first port, and its console: say --port 2.")
	}
	return Snippet{Text: strings.Join(lines, "\n") + "\n", Notes: notes}, err
}
