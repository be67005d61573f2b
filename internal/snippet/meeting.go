package snippet

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"serialhub/internal/address"
)

// meeting is an end as the VM sees it: what it has to do there.
type meeting struct {
	Choices
	end     End
	kind    address.Kind
	listens bool   // the VM listens, and the hub connects
	path    string // of a socket, a terminal or a device; the name of an abstract socket, without its @
	host    string // of TCP and TLS
	port    string
	open    bool // host is all addresses, because the hub's name for the VM's host says nothing of them
}

// firstCID is the lowest that a VM can have: 0 to 2 are the hypervisor, the machine itself and its host, in vsock(7).
const firstCID = 3

func meet(end End, choices Choices) (meeting, error) {
	m := meeting{Choices: choices, end: end, kind: end.Address.Kind(), listens: end.Connects, path: end.Address.Path()}
	switch m.kind {
	case address.Unix:
		if m.abstract() {
			m.path = strings.TrimPrefix(end.Address.SocketName(), "@")
		}
	case address.TCP, address.TLS:
		m.host, m.port = end.Address.HostPort()
		return m, m.findHost()
	case address.VSock:
		return m, m.findCID()
	case address.Device:
		if strings.HasPrefix(m.path, "/dev/") {
			return m, fmt.Errorf("%s is the serial port %s, which the hub has to itself: its peer is whatever is at the other end of the cable, and not a VM of this machine", end, m.path)
		}
	}
	return m, nil
}

// abstract tells whether the socket has a name instead of a file.
func (m meeting) abstract() bool { return m.kind == address.Unix && m.end.Address.Path() == "" }

// findHost finds where a VM connects to, or listens.
func (m *meeting) findHost() error {
	ip, err := netip.ParseAddr(m.host)
	isIP := err == nil
	switch {
	case m.Host != "":
		m.host = m.Host
	case m.listens && !isIP && m.host != "localhost":
		m.host, m.open = "0.0.0.0", true
	case !m.listens && (m.host == "" || isIP && ip.IsUnspecified()):
		return fmt.Errorf("%s listens at all addresses of its machine; say by which of them the VM's host reaches it: --host ADDRESS (127.0.0.1 if both are one machine)", m.end)
	}
	return nil
}

// findCID finds the VM's own context.
func (m *meeting) findCID() error {
	cid, _ := m.end.Address.ContextPort()
	switch {
	case m.listens && cid < firstCID:
		return fmt.Errorf("%s connects to %s, which is no VM; the context of a VM is %d or more", m.end, m.end.Address, firstCID)
	case m.listens && m.CID != 0 && m.CID != cid:
		return fmt.Errorf("%s connects to a VM whose context is %d, not %d", m.end, cid, m.CID)
	case m.listens:
		m.CID = cid
	case cid != address.AnyCID && cid != 2:
		return fmt.Errorf("%s listens at %s, where no VM of this machine reaches it; make it vsock:any:PORT or vsock:host:PORT", m.end, m.end.Address)
	case m.CID == 0:
		m.CID = firstCID
	case m.CID < firstCID:
		return fmt.Errorf("%d is not the context of a VM: that is %d or more", m.CID, firstCID)
	}
	return nil
}

// id names the end among a VM's devices. QEMU wants a letter first.
func (m meeting) id() string { return "hub-" + m.end.Link + "-" + m.end.Name }

// cannot is the error of an end that a hypervisor cannot meet; instead is what the end can be changed to, or what else helps.
func (m meeting) cannot(why, instead string) error {
	return fmt.Errorf("%s: %s; %s", m.end, why, instead)
}

// instead writes what the line of the file would have to be.
func (m meeting) instead(end string) string {
	return fmt.Sprintf("in the file of links make it  %s: %s", m.end.Name, end)
}

// plain refuses paths that a hypervisor has no way to write.
func (m meeting) plain(not, by string) error {
	if i := strings.IndexAny(m.path, not); i >= 0 {
		return m.cannot(fmt.Sprintf("%s cannot have the character %q in a path", by, m.path[i]), "choose another path")
	}
	return nil
}

const (
	quotedNote = "They are quoted for a shell: paste them, or use eval; $(serialhub snippet …) would not take the quotes away."
	oldTLSNote = "A guest of QEMU 7.2 gets only the first bytes of what comes by TLS, until there is more; 10.0 does not do so."
)

// notes are what matters whatever the hypervisor is.
func (m meeting) notes() (notes []string) {
	own := m.kind == address.Unix && !m.listens && !m.abstract()
	switch {
	case m.kind == address.PTY:
		notes = append(notes, "The hub has to run before the VM starts, and the VM opens its terminal once. A socket is better: it can be connected again.")
	case own && !m.end.Known:
		notes = append(notes, fmt.Sprintf("Who runs the VM has to be let in at %s: see mode, group and allow_uids of the end.", m.path))
	case own && m.end.Group != "" && m.end.Mode&0o020 != 0:
		notes = append(notes, fmt.Sprintf("Who runs the VM has to be in the group %s.", m.end.Group))
	case own && m.end.Mode&0o006 != 0o006:
		notes = append(notes, fmt.Sprintf("Only the hub's own user, and root, can connect (mode %04o). If the VM runs as another one, give the end a mode and a group: {listen: %s, mode: \"0660\", group: kvm}.", m.end.Mode, m.path))
	case m.kind == address.Unix && m.listens && !m.abstract():
		notes = append(notes, fmt.Sprintf("The VM makes %s, and the hub's user needs write permission on it, and to get into its folder.", m.path))
	case m.open:
		notes = append(notes, "The VM listens at all addresses of its host, and whoever reaches the port can type into it: say --host ADDRESS if one is enough, or see to the firewall.")
	}
	if own && m.end.NamedUIDs {
		notes = append(notes, "The end has allow_uids: the user who runs the VM has to be among them.")
	}
	return notes
}

// vsockNote says what is to be done in the guest, for there is no serial port.
func (m meeting) vsockNote() string {
	_, port := m.end.Address.ContextPort()
	if m.listens {
		return fmt.Sprintf("This is no serial port. In the guest a program has to listen: socat VSOCK-LISTEN:%d,fork EXEC:…", port)
	}
	return fmt.Sprintf("This is no serial port. In the guest a program connects: socat - VSOCK-CONNECT:2:%d. The context %d has to be this VM's alone.", port, m.CID)
}

// errOddText is of a path with characters for which a format has no way of writing.
var errOddText = errors.New("has characters that cannot be written there")
