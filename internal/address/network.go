package address

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

var (
	// hostName is what a name in the DNS or in /etc/hosts looks like, with the underscore that some use.
	hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})$`)
	// brokenIP is what no name ends with: it was to be an IP address.
	brokenIP = regexp.MustCompile(`(^|\.)[0-9]+$`)
)

// parseHostPort reads host:port; the host may be empty, a name, or an address, in brackets for IPv6.
func parseHostPort(kind Kind, text, rest string) (Address, error) {
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		if addr, perr := netip.ParseAddr(rest); perr == nil && addr.Is6() {
			return Address{}, fmt.Errorf("%q: an IPv6 address is written in brackets: %s:[%s]:PORT", text, kind, rest)
		}
		return Address{}, fmt.Errorf("%q is not a host and a port; write %s:host:port, such as %[2]s:lab7:4555 or %[2]s:[::1]:4555", text, kind)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return Address{}, fmt.Errorf("%q: %q is not a port; it can be from 1 to 65535", text, port)
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		host = addr.Unmap().String()
	} else if host = strings.ToLower(host); host != "" && (!hostName.MatchString(host) || brokenIP.MatchString(host)) {
		return Address{}, fmt.Errorf("%q: %q is neither the name of a host nor an IP address", text, host)
	}
	return Address{kind: kind, name: net.JoinHostPort(host, strconv.FormatUint(n, 10))}, nil
}

// HostPort returns the host, "" for any, and the port of a TCP or TLS address.
func (a Address) HostPort() (host, port string) {
	host, port, _ = net.SplitHostPort(a.name) // it has been parsed before
	return host, port
}

// AnyCID is VMADDR_CID_ANY of vsock(7): whichever this machine has.
const AnyCID = math.MaxUint32

// contexts are the names that a context may be written with.
func contexts() map[string]uint32 {
	return map[string]uint32{"any": AnyCID, "local": 1, "host": 2}
}

// parseVSock reads cid:port.
func parseVSock(text, rest string) (Address, error) {
	cid, port, err := splitVSock(rest)
	if err != nil {
		return Address{}, fmt.Errorf("%q: %w; write vsock:cid:port, such as vsock:3:4555, or vsock:any:4555 to listen", text, err)
	}
	return Address{kind: VSock, name: joinVSock(cid, port)}, nil
}

func splitVSock(text string) (cid, port uint32, err error) {
	context, number, found := strings.Cut(text, ":")
	if !found {
		return 0, 0, errors.New("the port is missing")
	}
	cid, named := contexts()[context]
	if !named {
		n, err := strconv.ParseUint(context, 10, 32)
		if err != nil || n == AnyCID {
			return 0, 0, fmt.Errorf("%q is not a context: a number, any, local or host", context)
		}
		cid = uint32(n)
	}
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil || n == math.MaxUint32 {
		return 0, 0, fmt.Errorf("%q is not a port: it can be from 0 to 4294967294", number)
	}
	return cid, uint32(n), nil
}

func joinVSock(cid, port uint32) string {
	for name, named := range contexts() {
		if named == cid {
			return fmt.Sprintf("%s:%d", name, port)
		}
	}
	return fmt.Sprintf("%d:%d", cid, port)
}

// FromVSock is the address of a context and a port.
func FromVSock(cid, port uint32) Address { return Address{kind: VSock, name: joinVSock(cid, port)} }

// ContextPort returns the context and the port of a vsock address.
func (a Address) ContextPort() (cid, port uint32) {
	cid, port, _ = splitVSock(a.name) // it has been parsed before
	return cid, port
}
