package endpoint

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Peer is a program connected to an end. Whoever holds the Peer owns the descriptor, which is non-blocking
// and close-on-exec, and closes it.
type Peer struct {
	FD          int
	Credentials Credentials
}

// Credentials are those of the process that connected, as the kernel noted them then (SO_PEERCRED of unix(7)).
// PID is 0 for a process that is not visible from the hub's PID namespace.
type Credentials struct {
	PID, UID, GID int
}

func credentials(fd int) (Credentials, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Credentials{}, os.NewSyscallError("getsockopt SO_PEERCRED", err)
	}
	return Credentials{PID: int(cred.Pid), UID: int(cred.Uid), GID: int(cred.Gid)}, nil
}

// Command returns the name of the program that a process runs, or "" when it cannot be told (it has ended,
// or is not visible from here). It reads /proc, which can block while the process is stuck in the kernel.
func Command(pid int) string {
	if pid <= 0 {
		return ""
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if first, _, _ := bytes.Cut(line, []byte{0}); err == nil && len(first) > 0 {
		return baseName(string(first))
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(name), "\n")
}

// baseName takes the folder off a program's path; a title, such as "sshd: root@pts/0", has none.
func baseName(argv0 string) string {
	if strings.HasPrefix(argv0, "/") {
		return filepath.Base(argv0)
	}
	program, _, _ := strings.Cut(argv0, " ")
	return program
}
