package endpoint_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/endpoint"
)

// full is an address whose socket takes no more connections, as that of a machine behind a firewall: whoever connects gets no answer.
func full(t *testing.T) (where string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "full")
	t.Cleanup(func() { file.Close() })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	l, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for {
		conn, err := net.DialTimeout("tcp", l.Addr().String(), 300*time.Millisecond)
		if err != nil {
			return l.Addr().String()
		}
		t.Cleanup(func() { conn.Close() })
	}
}

// TestTCPDialWithoutAnswer checks that it is given up in time, and always in the same words.
func TestTCPDialWithoutAnswer(t *testing.T) {
	t.Parallel()
	where := full(t)
	for _, kind := range []string{"tcp:", "tls:"} {
		s := socket(t, kind+where)
		s.Connects, s.KeepAlive = true, time.Minute
		want := s.Address.String() + " does not answer; is the machine up, and does its firewall let this one in?"
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err := endpoint.NewOpener(nil).Dial(ctx, s)
		cancel()
		if err == nil || err.Error() != want {
			t.Errorf("Dial gave %v, want %s", err, want)
		}
	}
	s := socket(t, "tcp:"+where)
	s.Connects, s.KeepAlive = true, time.Minute
	start := time.Now()
	_, err := endpoint.NewOpener(nil).Dial(t.Context(), s)
	if err == nil || !strings.Contains(err.Error(), "does not answer;") {
		t.Errorf("Dial gave %v", err)
	}
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestTCPHostUnknown checks that an error of the resolver has no port of this machine in it, which would be another one each time.
func TestTCPHostUnknown(t *testing.T) {
	addr := socket(t, "tcp:lab7:4555").Address
	for reason, why := range map[string]string{
		"no such host": "no such host",
		"read udp 10.0.0.2:43210->10.0.0.1:53: i/o timeout": "i/o timeout",
	} {
		err := endpoint.Unreached(addr, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: reason, Name: "lab7", Server: "10.0.0.1:53", IsTimeout: why != reason}})
		if want := `tcp:lab7:4555: the host "lab7" cannot be found (` + why + `); correct the name, or write an IP address`; err.Error() != want {
			t.Errorf("it says %s, want %s", err, want)
		}
	}
}
