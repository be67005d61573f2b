package endpoint

import (
	"os"

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
