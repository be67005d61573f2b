package endpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// HasOwner tells whether a process still holds the socket that the file at path names. A connect(2) of another
// type asks the kernel without its owner noticing: EPROTOTYPE if there is one, ECONNREFUSED if it is dead.
func HasOwner(path string) (bool, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return false, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd) // it carries nothing
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	switch {
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOENT):
		return false, nil
	case err == nil, errors.Is(err, unix.EPROTOTYPE), errors.Is(err, unix.EAGAIN):
		return true, nil
	default:
		return false, fmt.Errorf("cannot tell whether %s is in use: %w", path, os.NewSyscallError("connect", err))
	}
}

// ownerOf names the process that holds the socket bound to path, as far as it is visible from here.
func ownerOf(path string) string {
	if pid := Owner(path); pid != 0 {
		return fmt.Sprintf("pid %d (%s)", pid, Identify(pid).Command)
	}
	return "a program that is not visible from here (another user's, or one in a container)"
}

// Owner finds the process that listens on the socket bound to path; 0 if none is visible from here.
func Owner(path string) int {
	table, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(table)) {
		// Num RefCount Protocol Flags Type St Inode Path; see proc_net_unix(5).
		fields := strings.Fields(line)
		const acceptsConnections = "00010000"
		if len(fields) < 8 || fields[3] != acceptsConnections {
			continue
		}
		inode := fields[6]
		_, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " "+inode+" ")
		if filepath.Clean(name) != path {
			continue
		}
		if pid := holderOf("socket:[" + inode + "]"); pid != 0 {
			return pid
		}
	}
	return 0
}

// holderOf finds a process, other than some, that has the descriptor with this name in /proc open; 0 if none is visible.
func holderOf(descriptor string, except ...int) int {
	return findHolder(func(pid int, _, target string) bool { return target == descriptor && !slices.Contains(except, pid) })
}

// findHolder finds a process with a descriptor that is the one: is gets the pid, the link to the descriptor in /proc, and where that leads. It is 0 if
// none is visible.
func findHolder(is func(pid int, link, target string) bool) int {
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return 0
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(link, "/")[2]); err == nil && is(pid, link, target) {
			return pid
		}
	}
	return 0
}
