package snippet

import (
	"strings"

	"serialhub/internal/address"
)

// xen writes a line of xl's config. Its serial is QEMU's -serial; what that cannot have, is given to the device model as it is.
func xen(m *meeting) (Snippet, error) {
	if m.kind == address.VSock {
		return Snippet{}, m.cannot("Xen's guests have no vsock", m.instead("/run/serialhub/"+m.end.Link+"-"+m.end.Name))
	}
	notes := []string{
		"This line goes into the VM's xl config (of an HVM guest: PV and PVH have no such port), and is read when the VM is created.",
		"QEMU is Xen's device model, and runs as root unless the config says otherwise; its version is what matters: /usr/lib/xen/bin/qemu-system-i386 --version.",
	}
	notes = append(notes, m.qemuCautions()...)
	short, has := m.qemuSerial()
	if !has {
		notes = append(notes, "Of several lines device_model_args_hvm, and of several that say serial, xl takes the last.")
		return Snippet{Text: "device_model_args_hvm = " + xlList(m.qemuParts()) + "\n", Notes: notes}, nil
	}
	ports := []string{short}
	if m.Port > 1 {
		// COM1 is what xl console -t serial shows.
		ports = strings.Split("pty"+strings.Repeat(" null", m.Port-2), " ")
		ports = append(ports, short)
		notes = append(notes, "The first port is a terminal: xl console -t serial NAME.")
	}
	notes = append(notes, "If the config has a line serial already, make one of both: xl takes the last.")
	return Snippet{Text: "serial = " + xlList(ports) + "\n", Notes: notes}, nil
}
