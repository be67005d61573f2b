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
	addr, err := readHostPort(kind, rest)
	if err == nil {
		return addr, nil
	}
	meant := guess(kind, rest)
	if meant == "" {
		meant = fmt.Sprintf("%s:host:port, such as %[1]s:lab7:4555 or %[1]s:[::1]:4555", kind)
	}
	return Address{}, fmt.Errorf("%q: %w; write %s", text, err, meant)
}

func readHostPort(kind Kind, rest string) (Address, error) {
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		return Address{}, fmt.Errorf("%q is not a host and a port", rest)
	}
	if !isPort(port) {
		return Address{}, fmt.Errorf("%q is not a port, from 1 to 65535", port)
	}
	n, _ := strconv.ParseUint(port, 10, 16) // it is one
	if addr, err := netip.ParseAddr(host); err == nil {
		host = addr.Unmap().String()
	} else if host = strings.ToLower(host); host != "" && (!hostName.MatchString(host) || brokenIP.MatchString(host)) {
		return Address{}, fmt.Errorf("%q is neither the name of a host nor an IP address", host)
	}
	return Address{kind: kind, name: net.JoinHostPort(host, strconv.FormatUint(n, 10))}, nil
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

func isIPv6(text string) bool {
	addr, err := netip.ParseAddr(text)
	return err == nil && addr.Is6()
}

// guess says how that is written what was probably meant by text, which is not host:port; "" if there is no telling.
func guess(kind Kind, text string) string {
	if bare, isURL := strings.CutPrefix(text, "//"); isURL {
		bare = strings.TrimRight(bare, "/")
		if addr, err := readHostPort(kind, bare); err == nil {
			return addr.String()
		}
		text = bare
	}
	if isPort(text) {
		return fmt.Sprintf("%s::%s to listen on all addresses of this machine, or %[1]s:HOST:%[2]s", kind, text)
	}
	cut := max(0, strings.LastIndexByte(text, ':'))
	host, port := text[:cut], strings.TrimPrefix(text[cut:], ":")
	switch {
	case host == "*" && isPort(port):
		return fmt.Sprintf("%s::%s, which is all addresses of this machine", kind, port)
	case isIPv6(host) && isPort(port) && isIPv6(text):
		return fmt.Sprintf("an IPv6 address in brackets: %s:[%s]:%s, or %[1]s:[%[4]s]:PORT", kind, host, port, text)
	case isIPv6(host) && isPort(port):
		return fmt.Sprintf("an IPv6 address in brackets: %s:[%s]:%s", kind, host, port)
	case isIPv6(text):
		return fmt.Sprintf("an IPv6 address in brackets: %s:[%s]:PORT", kind, text)
	}
	text = strings.TrimSuffix(text, ":")
	if _, err := readHostPort(kind, text+":1"); err == nil && text != "" {
		return fmt.Sprintf("%s:%s:PORT", kind, text)
	}
	return ""
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
