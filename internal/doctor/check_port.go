package doctor

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"serialhub/internal/qemu"
)

// lookAtPorts tells what keeps the hub from listening on TCP.
func (x *examination) lookAtPorts() {
	for _, e := range x.ends {
		host, port, ok := e.hostPort()
		if !ok || e.way != "listen" || !e.failing() {
			continue
		}
		x.lookAtPort(host, port, &e, func(message string, fix ...string) { x.at(e, Problem, message, fix...) })
	}
	if x.HubError == nil || x.Config == nil || x.unit.get("ActiveState") == "active" {
		return
	}
	for _, l := range x.Config.API.Listen {
		if host, port, err := net.SplitHostPort(l.Address); l.Network == "tcp" && err == nil {
			x.lookAtPort(host, port, nil, func(message string, fix ...string) { x.found(Problem, "the API: "+message, fix...) })
		}
	}
}

// lookAtPort tells what keeps the hub from one port: that of an end, or with nil of the API.
func (x *examination) lookAtPort(host, port string, e *end, tell func(message string, fix ...string)) {
	number, err := strconv.Atoi(port)
	if err != nil || number == 0 {
		return
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	if err == nil && !ip.IsUnspecified() && !ip.IsLoopback() && !isOurs(ip) {
		tell(fmt.Sprintf("%s is no address of this machine, so nobody can listen there; write one that is, or leave the host out to listen at all of them", host), "ip -brief address")
	}
	if first, known := x.machine.number("/proc/sys/net/ipv4/ip_unprivileged_port_start"); known && number < first && !x.hub.bind {
		fix := []string{fmt.Sprintf("sysctl net.ipv4.ip_unprivileged_port_start=%d", number)}
		if x.unit.name != "" && !x.unit.user {
			fix = x.unit.dropIn("port", "CapabilityBoundingSet=CAP_NET_BIND_SERVICE", "AmbientCapabilities=CAP_NET_BIND_SERVICE")
		}
		tell(fmt.Sprintf("the hub, which is user %s, may not listen on ports below %d, and this is %s; choose a higher one, or let it", x.hub, first, port), fix...)
	}
	inode, there := x.listening(ip, number)
	if !there {
		return
	}
	pid, hidden := x.machine.holder("socket:["+inode+"]", x.hubPID)
	see := fmt.Sprintf("sudo ss -ltnp 'sport = :%s'", port)
	switch {
	case pid == 0 && hidden:
		x.hidden("who listens on port " + port)
		if x.mayBeHub() {
			return
		}
		tell(fmt.Sprintf("port %s is in use by a program that is not visible from here; end it, or choose another port", port), see)
	case pid == 0: // the hub itself, or a program in another container
	case pid == 1:
		tell(fmt.Sprintf("port %s is in use by a socket unit of systemd; disable that, or choose another port", port), "systemctl list-sockets --no-pager | grep "+qemu.Quote(":"+port+" "))
	default:
		command := x.machine.command(pid)
		if strings.HasPrefix(command, "docker-proxy") {
			tell(fmt.Sprintf("port %s is in use by a container, for which %s listens; publish it elsewhere, or choose another port", port, command), "docker ps --filter publish="+port)
			return
		}
		message, fix := x.inUse("port "+port, "port", pid, e)
		tell(message, fix...)
	}
}

// isOurs tells whether this machine has an address.
func isOurs(ip netip.Addr) bool {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return true // it cannot be told
	}
	for _, a := range addresses {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr() == ip.WithZone("") {
			return true
		}
	}
	return false
}

// listening finds the socket that listens on a port, at an address that is in the way of ours; an invalid one is all of them.
func (x *examination) listening(ip netip.Addr, port int) (inode string, there bool) {
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := x.machine.read(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(text) {
			fields := strings.Fields(line)
			const listens = "0A"
			if len(fields) < 10 || fields[3] != listens {
				continue
			}
			address, number, ok := parseProc(fields[1])
			if ok && number == port && collide(address, ip) {
				return fields[9], true
			}
		}
	}
	return "", false
}

// collide tells whether two cannot have one port: each may be all addresses.
func collide(a, b netip.Addr) bool {
	a, b = a.Unmap(), b.Unmap()
	all := func(a, b netip.Addr) bool { return a.IsUnspecified() && (a.Is6() || b.Is4()) } // 0.0.0.0 is all of IPv4
	return !b.IsValid() || all(a, b) || all(b, a) || a == b
}

// parseProc reads an address of /proc/net/tcp: 32-bit words in the order of the machine's bytes (this is little-endian), and the port.
func parseProc(text string) (ip netip.Addr, port int, ok bool) {
	words, number, found := strings.Cut(text, ":")
	raw, err := hex.DecodeString(words)
	p, portErr := strconv.ParseUint(number, 16, 16)
	if !found || err != nil || portErr != nil || len(raw)%4 != 0 {
		return netip.Addr{}, 0, false
	}
	for i := 0; i < len(raw); i += 4 {
		raw[i], raw[i+1], raw[i+2], raw[i+3] = raw[i+3], raw[i+2], raw[i+1], raw[i]
	}
	ip, ok = netip.AddrFromSlice(raw)
	return ip, int(p), ok
}
