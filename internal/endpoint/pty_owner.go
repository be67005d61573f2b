package endpoint

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// TerminalUser is the pid of a process, other than this one, that has the terminal at path open; 0 if none is visible from here. It reads /proc, which can
// block while a process is stuck in the kernel.
func TerminalUser(path string) int {
	file, err := fileAt(path)
	if err != nil {
		return 0
	}
	return findHolder(func(pid int, link, target string) bool {
		if target != path || pid == os.Getpid() {
			return false
		}
		// A container has terminals of its own that are called the same.
		var stat unix.Stat_t
		return unix.Stat(link, &stat) == nil && stat.Dev == file.dev && stat.Ino == file.ino
	})
}

// masterOwner names the process that has the master of the pseudo-terminal with this number, as far as it is visible from here.
func masterOwner(number string) string {
	pid := findHolder(func(_ int, link, target string) bool {
		if !strings.HasSuffix(target, "/ptmx") {
			return false
		}
		info, err := os.ReadFile(strings.Replace(link, "/fd/", "/fdinfo/", 1)) // see proc_pid_fdinfo(5)
		return err == nil && strings.Contains(string(info), "tty-index:\t"+number+"\n")
	})
	if pid == 0 {
		return "a program that is not visible from here (another user's, or one in a container)"
	}
	return fmt.Sprintf("pid %d (%s)", pid, Identify(pid).Command)
}
