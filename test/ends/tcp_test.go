package ends

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"
)

func tcpListen() kind {
	return kind{name: "tcp", tcp: true, make: func(t *testing.T, _, _ string) site {
		address := freeAddress(t, "127.0.0.1")
		return &listenSite{ofNetwork("tcp", address), fmt.Sprintf("{listen: %q}", "tcp:"+address)}
	}}
}

func tcpConnect() kind {
	return kind{name: "tcpc", tcp: true, fetched: true, make: func(t *testing.T, _, _ string) site {
		address := freeAddress(t, "127.0.0.1")
		return &connectSite{socket: ofNetwork("tcp", address), text: fmt.Sprintf("{connect: %q}", "tcp:"+address)}
	}}
}

// Ports are taken from below those that the kernel gives to whoever asks for any (ip_local_port_range), so that nobody has a port in the
// moment in which its server is away. Two runs of this package at a time begin at different ones.
const (
	firstPort = 15000
	ports     = 15000
)

var portsTaken atomic.Int64

// freeAddress is one at which nobody listens.
func freeAddress(t *testing.T, host string) string {
	t.Helper()
	for range ports {
		port := firstPort + (int64(os.Getpid())*997+portsTaken.Add(1))%ports
		address := net.JoinHostPort(host, fmt.Sprint(port))
		if listener, err := net.Listen("tcp", address); err == nil {
			listener.Close()
			return address
		}
	}
	t.Fatal("there is no free port")
	return ""
}
