package endpoint

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

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

// masterOwner is the process that has the master of the pseudo-terminal with this number, and when it was started; 0 if none is visible from here. Of
// several it is the first to be started.
func masterOwner(number string) (owner int, started time.Time) {
	findHolder(func(pid int, link, target string) bool {
		if !strings.HasSuffix(target, "/ptmx") {
			return false
		}
		info, err := os.ReadFile(strings.Replace(link, "/fd/", "/fdinfo/", 1)) // see proc_pid_fdinfo(5)
		if err != nil || !strings.Contains(string(info), "tty-index:\t"+number+"\n") {
			return false
		}
		const tick = time.Second / 100 // the clocks are read anew for each: of a parent and its child of the same tick, it is the one that is found first
		if start := startOf(pid); owner == 0 || start.Before(started.Add(-tick/2)) {
			owner, started = pid, start
		}
		return false
	})
	return owner, started
}

// startOf tells when a process was started; zero if that cannot be told.
func startOf(pid int) time.Time {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // see proc_pid_stat(5)
	var now unix.Timespec
	if err != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return time.Time{}
	}
	// The second field is the name, which can have spaces and parentheses. The start is the twenty-second, in ticks since the machine was.
	const tick = time.Second / 100
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return time.Time{}
	}
	ticks, err := strconv.ParseInt(fields[19], 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(ticks)*tick - time.Duration(now.Nano()))
}
