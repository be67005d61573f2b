package config

import (
	"net"
	"net/netip"
	"strconv"

	"serialhub/internal/address"
)

// claims are the addresses that are in use, each with the key that uses it.
type claims map[string]string

// claim notes that the end at key uses its address, or that another one does.
func (c *checker) claim(end End, at, key string) {
	switch holder, same := c.used.take(end.Address, listens(end), key); {
	case holder != "" && same:
		c.add(at, "%s is already the address of %s; each end needs its own", end.Address, holder)
	case holder != "":
		c.add(at, "%s takes the port of %s, too; each end needs its own", end.Address, holder)
	}
}

// take claims an address for key, unless another key has it already, or listens on the same port where either is for
// all addresses of the machine. It returns that key, and whether its address is the same.
func (u claims) take(addr address.Address, listens bool, key string) (holder string, same bool) {
	name, port := identity(addr)
	if holder := u[name]; holder != "" {
		return holder, true
	}
	taken := []string{name}
	if listens && port.number != "" {
		for _, family := range port.families {
			all, some := family+" all "+port.number, family+" some "+port.number
			taken = append(taken, some)
			inTheWay := u[all]
			if port.all {
				taken = append(taken, all)
				inTheWay = u[some]
			}
			if inTheWay != "" {
				return inTheWay, false
			}
		}
	}
	for _, name := range taken {
		u[name] = key
	}
	return "", false
}

// port is one that can be listened on, for one address of the machine or for all.
type port struct {
	families []string // of addresses
	number   string
	all      bool
}

// identity names what an address takes from others: a file, whatever its kind, a name, or a port, with or without TLS.
func identity(addr address.Address) (string, port) {
	switch addr.Kind() {
	case address.TCP, address.TLS:
		host, number := addr.HostPort()
		if host == "localhost" {
			host = "127.0.0.1"
		}
		ip, err := netip.ParseAddr(host)
		families := []string{"IPv4"} // also of a name; what it stands for is not known here
		switch {
		case host == "" || ip == netip.IPv6Unspecified():
			host, families = "::", []string{"IPv4", "IPv6"}
		case err == nil && ip.Is6():
			families = []string{"IPv6"}
		}
		return "tcp:" + net.JoinHostPort(host, number), port{families, number, host == "::" || ip == netip.IPv4Unspecified()}
	case address.VSock:
		cid, number := addr.ContextPort()
		return addr.String(), port{[]string{"vsock"}, strconv.FormatUint(uint64(number), 10), cid == address.AnyCID}
	case address.Unix, address.PTY, address.Device:
		if path := addr.Path(); path != "" {
			return path, port{}
		}
	}
	return addr.String(), port{}
}
