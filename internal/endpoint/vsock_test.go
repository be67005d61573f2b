package endpoint

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"serialhub/internal/address"
)

func TestDescribeVSock(t *testing.T) {
	t.Parallel()
	tests := []struct {
		addr string
		err  error
		says string
	}{
		{"vsock:local:1", unix.EAFNOSUPPORT, "vsock:local:1: the kernel has no vsock for the hub (connect: "},
		{"vsock:local:1", unix.ENODEV, "modprobe vsock_loopback"},
		{"vsock:1:1", unix.ETIMEDOUT, "modprobe vsock_loopback"},
		{"vsock:local:1", unix.EADDRNOTAVAIL, "modprobe vsock_loopback"},
		{"vsock:local:4555", unix.ECONNRESET, "nobody listens at vsock:local:4555 (connect: connection reset by peer); start the program that does"},
		{"vsock:host:1", unix.ENODEV, "vsock:host:1: the host cannot be reached"},
		{"vsock:host:4555", unix.EADDRNOTAVAIL, "this machine is not the host of VMs"},
		{"vsock:host:4555", unix.EADDRNOTAVAIL, "write vsock:any:4555"},
		{"vsock:77:4555", unix.EADDRNOTAVAIL, "77 is not the context of this machine"},
		{"vsock:77:4555", unix.ENODEV, "there is no VM with the context 77"},
		{"vsock:77:4555", unix.ECONNRESET, "start the program in the VM that does"},
		{"vsock:any:80", unix.EACCES, "a port below 1024"},
		{"vsock:any:80", unix.EADDRINUSE, "vsock:any:80 is in use"},
		{"vsock:any:80", unix.EIO, "vsock:any:80: connect: "},
	}
	for _, test := range tests {
		addr, err := address.Parse(test.addr, "/")
		if err != nil {
			t.Fatal(err)
		}
		got := describeVSock(addr, os.NewSyscallError("connect", test.err))
		if !strings.Contains(got.Error(), test.says) || !errors.Is(got, test.err) {
			t.Errorf("%s, %v: %q, want %q in it", test.addr, test.err, got, test.says)
		}
	}
}
