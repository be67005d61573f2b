// Package snippet writes what goes into a hypervisor's config so that a VM's serial port meets the hub at an end of a link. It is told what
// the hub does at that end, and looks at nothing itself.
package snippet

import (
	"fmt"

	"serialhub/internal/address"
)

// Hypervisor is what a snippet is for.
type Hypervisor string

// The hypervisors that are known.
const (
	Xen             Hypervisor = "xen" // xl
	QEMU            Hypervisor = "qemu"
	Libvirt         Hypervisor = "libvirt"
	VirtualBox      Hypervisor = "virtualbox"
	CloudHypervisor Hypervisor = "cloud-hypervisor"
)

// Hypervisors returns those that are known.
func Hypervisors() []Hypervisor {
	return []Hypervisor{Xen, QEMU, Libvirt, VirtualBox, CloudHypervisor}
}

// Ports is how many serial ports a PC has.
const Ports = 4

// End is an end of a link, as the hub has it.
type End struct {
	Link, Name string // of the link, and "a" or "b"
	Address    address.Address
	Connects   bool // the hub dials the address; else peers come to it, or it is a terminal or a device

	// What only the file tells, not the API.
	Known     bool   // whether the rest is
	Mode      uint32 // of a socket that the hub makes
	Group     string
	NamedUIDs bool // only some users may be the peer
}

func (e End) String() string { return "end " + e.Name + " of link " + e.Link }

// Choices are what a snippet can have otherwise. The zero value is the usual.
type Choices struct {
	Port         int    // which serial port of the VM, from 1; 0 for the first
	VM           string // its name, where a snippet has one; "" for a word that stands for it
	Host         string // where the VM meets the hub, by TCP: the host to connect to, or to listen at; "" for that of the end's address
	Certificates string // folder of QEMU's certificates; "" for /etc/qemu-tls
	CID          uint32 // the VM's own, for vsock; 0 for that of the end's address, or 3
	Milliseconds bool   // say reconnect-ms, as QEMU 9.2 and later do
}

// Snippet is what For writes.
type Snippet struct {
	Text  string   // can be pasted as it is; whole lines
	Notes []string // what the reader should know, in sentences
}

// For writes the snippet for an end. An error says why there is none, and what would be possible instead.
func For(hypervisor Hypervisor, end End, choices Choices) (Snippet, error) {
	if choices.Port == 0 {
		choices.Port = 1
	}
	if choices.Port < 1 || choices.Port > Ports {
		return Snippet{}, fmt.Errorf("a VM has serial ports from 1 to %d, and no port %d", Ports, choices.Port)
	}
	if choices.Certificates == "" {
		choices.Certificates = "/etc/qemu-tls"
	}
	m, err := meet(end, choices)
	if err != nil {
		return Snippet{}, err
	}
	writers := map[Hypervisor]func(*meeting) (Snippet, error){
		Xen: xen, QEMU: qemu, Libvirt: libvirt, VirtualBox: virtualBox, CloudHypervisor: cloudHypervisor,
	}
	write, known := writers[hypervisor]
	if !known {
		return Snippet{}, fmt.Errorf("%q is not a hypervisor that is known here", hypervisor)
	}
	snippet, err := write(&m)
	if err != nil {
		return Snippet{}, err
	}
	snippet.Notes = append(snippet.Notes, m.notes()...)
	return snippet, nil
}
