package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/address"
)

const (
	// resolveTime is how long the name of a host may take to be found.
	resolveTime = 5 * time.Second
	// dialTime is how long a connection to one host may take, with all its addresses.
	dialTime = 10 * time.Second
)

// tcpListener accepts the peers of one end on a TCP socket.
type tcpListener struct {
	socket
	spec atomic.Pointer[Spec]
}

// bindTCP makes the socket.
func bindTCP(s Spec) (Listener, error) {
	fd, err := tcpSocket(s.Address)
	if err != nil {
		return nil, err
	}
	return newTCPListener(fd, s), nil
}

func newTCPListener(fd int, s Spec) *tcpListener {
	l := &tcpListener{socket: socket{fd: fd, name: s.Address.String()}}
	l.spec.Store(&s)
	l.admit = func(fd int, from unix.Sockaddr) (Peer, error) {
		spec := l.spec.Load()
		return remotePeer(fd, spec.Via(), hostPort(from)), prepareTCP(fd, *spec)
	}
	return l
}

// tcpSocket makes a socket that is bound to an address, the first of those that its host has which can be used.
func tcpSocket(addr address.Address) (int, error) {
	candidates, err := resolve(addr)
	if err != nil {
		return -1, err
	}
	var errs []error
	for _, candidate := range candidates {
		fd, err := bindTo(candidate)
		if err == nil {
			return fd, nil
		}
		if err = unbound(addr, candidate, err); len(errs) == 0 || err.Error() != errs[0].Error() {
			errs = append(errs, err)
		}
	}
	return -1, errors.Join(errs...)
}

// resolve finds the addresses to listen on for an address of TCP or TLS.
func resolve(addr address.Address) (found []netip.AddrPort, err error) {
	host, portText := addr.HostPort()
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, err
	}
	if host == "" {
		// An IPv6 socket takes IPv4 as well; without IPv6 on this machine, the other will do.
		return []netip.AddrPort{netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(port)), netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(port))}, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolveTime)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, unfound(addr, err)
	}
	// As everybody else who listens on localhost: on IPv4, if there is that.
	slices.SortStableFunc(ips, func(a, b netip.Addr) int { return a.Unmap().BitLen() - b.Unmap().BitLen() })
	for _, ip := range ips {
		found = append(found, netip.AddrPortFrom(ip.Unmap(), uint16(port)))
	}
	return found, nil
}

// bindTo makes a socket that is bound to one address.
func bindTo(to netip.AddrPort) (int, error) {
	family, name := unix.AF_INET, unix.Sockaddr(nil)
	if to.Addr().Is4() {
		name = &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	} else {
		zone, err := zoneID(to.Addr().Zone())
		if err != nil {
			return -1, err
		}
		family, name = unix.AF_INET6, &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16(), ZoneId: zone}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	// What is left of old connections is no reason to refuse; another program that listens is.
	err = os.NewSyscallError("setsockopt SO_REUSEADDR", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	if err == nil && to.Addr() == netip.IPv6Unspecified() {
		err = os.NewSyscallError("setsockopt IPV6_V6ONLY", unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0))
	}
	if err == nil {
		err = os.NewSyscallError("bind", unix.Bind(fd, name))
	}
	if err != nil {
		unix.Close(fd) // it is not bound
		return -1, err
	}
	return fd, nil
}

// zoneID is the number of the network interface that an IPv6 address is of.
func zoneID(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	found, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, fmt.Errorf("there is no network interface %q", zone)
	}
	return uint32(found.Index), nil
}

// Adjust takes over the keepalive of the peers to come.
func (l *tcpListener) Adjust(s Spec) error {
	l.spec.Store(&s)
	return nil
}

// dialTCP connects to a host, by whichever of its addresses answers first.
func dialTCP(ctx context.Context, s Spec) (Peer, error) {
	conn, err := dialHost(ctx, s)
	if err != nil {
		return Peer{}, err
	}
	defer conn.Close() //nolint:errcheck // the peer has a descriptor of its own
	fd, err := duplicate(conn)
	if err != nil {
		return Peer{}, fmt.Errorf("%s: %w", s.Address, err)
	}
	return remotePeer(fd, s.Via(), conn.RemoteAddr().String()), nil
}

// dialHost connects to the host of an address of TCP or TLS.
func dialHost(ctx context.Context, s Spec) (*net.TCPConn, error) {
	host, port := s.Address.HostPort()
	dialer := net.Dialer{Timeout: dialTime, KeepAlive: -1}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, unreached(s.Address, err)
	}
	tcp := conn.(*net.TCPConn) // of the network "tcp" there is no other
	if err := prepareConn(tcp, s); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", s.Address, err), conn.Close())
	}
	return tcp, nil
}

// prepareConn does to a connection what prepareTCP does to a descriptor.
func prepareConn(conn *net.TCPConn, s Spec) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(fd uintptr) { inner = prepareTCP(int(fd), s) })
	return errors.Join(err, inner)
}

// duplicate makes a descriptor of a connection that the runtime's poller knows nothing of.
func duplicate(conn *net.TCPConn) (fd int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	var inner error
	if err := raw.Control(func(own uintptr) { fd, inner = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return -1, err
	}
	return fd, os.NewSyscallError("fcntl", inner)
}

// prepareTCP has a connection carry each byte at once, and notice a peer that is dead.
func prepareTCP(fd int, s Spec) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return os.NewSyscallError("setsockopt TCP_NODELAY", err)
	}
	// Urgent data is data; else it would be counted by SIOCINQ and never read.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_OOBINLINE, 1); err != nil {
		return os.NewSyscallError("setsockopt SO_OOBINLINE", err)
	}
	return keepAlive(fd, s.KeepAlive)
}

func remotePeer(fd int, via, where string) Peer {
	return Peer{FD: fd, Nature: Remote, Via: via, Credentials: Credentials{Address: where}}
}

// hostPort writes the address of a peer.
func hostPort(from unix.Sockaddr) string {
	switch from := from.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(from.Addr), uint16(from.Port)).String()
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(from.Addr).Unmap()
		if from.ZoneId != 0 {
			ip = ip.WithZone(strconv.Itoa(int(from.ZoneId)))
		}
		return netip.AddrPortFrom(ip, uint16(from.Port)).String()
	default:
		return ""
	}
}

// unreached adds to an error of connect what a person can do about it.
func unreached(addr address.Address, err error) error {
	var (
		dns  *net.DNSError
		late net.Error
	)
	switch {
	case errors.As(err, &dns):
		return unfound(addr, err)
	case errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("nobody listens at %s (%w); start the VM or the program that does", addr, err)
	case errors.As(err, &late) && late.Timeout(): // whether the kernel or the hub gives up first, it is the same to the reader
		return fmt.Errorf("%s does not answer; is the machine up, and does its firewall let this one in?", addr)
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH):
		return fmt.Errorf("%s cannot be reached (%w); look at the network and the routes of this machine", addr, err)
	default:
		return fmt.Errorf("cannot connect to %s: %w", addr, err)
	}
}

// unfound is the error of a host's name. The resolver's own text can contain ports of this machine, which are others each time.
func unfound(addr address.Address, err error) error {
	var dns *net.DNSError
	why := err.Error()
	if errors.As(err, &dns) {
		why = dns.Err
		if i := strings.LastIndex(why, ": "); i >= 0 {
			why = why[i+len(": "):]
		}
	}
	host, _ := addr.HostPort()
	return fmt.Errorf("%s: the host %q cannot be found (%s); correct the name, or write an IP address", addr, host, why)
}

// unbound adds to an error of bind what a person can do about it.
func unbound(addr address.Address, candidate netip.AddrPort, err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%s is in use by another program (%w); find it with “ss -ltnp sport = :%d”, or choose another port", addr, err, candidate.Port())
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("%s: this machine does not have the address %s (%w); write one that it has, or 0.0.0.0 for all, or {connect: …} if it is another machine's", addr, candidate.Addr(), err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%s: uid %d may not use a port below 1024 (%w); choose a higher one, or give the hub CAP_NET_BIND_SERVICE", addr, os.Geteuid(), err)
	default:
		return fmt.Errorf("%s: %w", addr, err)
	}
}
