package systemd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"serialhub/test/container"
)

// TestHostPeer joins a peer on the host and one in the container by a hub in the container. It is told on a socket of
// the host's where to connect.
func TestHostPeer(t *testing.T) {
	if container.Shared == "" {
		hostPeer(t)
		return
	}
	host := container.Connect(t, container.Path("host"))
	h := startHub(t, "Type=exec", "dbg")
	b := container.Connect(t, h.socket("dbg", "b"))
	go io.Copy(b, b)
	host.Say(t, h.socket("dbg", "a")+"\n")
	host.HearEnd(t)
}

// hostPeer is the half of TestHostPeer on the host.
func hostPeer(t *testing.T) {
	c := machine().Boot(t)
	inside := accept(t, c)
	address, err := bufio.NewReader(inside).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	a := container.Connect(t, strings.TrimSpace(address))
	a.Say(t, "an echo, please")
	a.Hear(t, "an echo, please")
	inside.Close()
	c.Wait(t)
}

// TestKilledContainer kills a container with its test in it, as happens when go test is killed: nothing of it is left.
func TestKilledContainer(t *testing.T) {
	if container.Shared != "" {
		container.Connect(t, container.Path("host")).HearEnd(t)
		return
	}
	c := machine().Boot(t)
	inside := accept(t, c)
	pid := peerPID(t, inside)
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, group, found := strings.Cut(strings.TrimSpace(string(groups)), "0::")
	group, _, inPayload := strings.Cut(group, "/payload/")
	if !found || !inPayload {
		t.Fatalf("the container has no control group of its own, but %s", groups)
	}

	c.Kill()
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the process %d in the container is left (%v)", pid, err)
	}
	for _, path := range []string{c.Folder, "/sys/fs/cgroup" + group, "/sys/fs/cgroup/unified" + group} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left (%v)", path, err)
		}
	}
	for _, of := range []string{"systemd-nspawn", c.Folder} {
		if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), of) {
			t.Errorf("mounts with %s are left (%v):\n%s", of, err, mounts)
		}
	}
}

// accept takes in the test in the container, which connects to the socket "host" in the shared folder.
func accept(t *testing.T, c *container.Container) *net.UnixConn {
	t.Helper()
	listener, err := net.Listen("unix", c.Path("host"))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-c.Ended
		listener.Close()
	}()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.UnixConn)
}

// peerPID is the process that has connected, by its number on the host.
func peerPID(t *testing.T, conn *net.UnixConn) int {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var peer *syscall.Ucred
	raw.Control(func(fd uintptr) {
		peer, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err != nil {
		t.Fatal(err)
	}
	return int(peer.Pid)
}
