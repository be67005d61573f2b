package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	// fullPipe is how many pages a pipe of the hub has.
	fullPipe = 256
	// backlog is how many peers may have connected to an end before the hub takes them.
	backlog = 128
)

// lookAtLimits compares what the links need with what the kernel and the service manager give.
func (x *examination) lookAtLimits() {
	x.lookAtDescriptors()
	x.lookAtPipes()
	if n, ok := x.machine.number("/proc/sys/net/core/somaxconn"); ok && n < backlog && len(x.ends) > 0 {
		x.found(Note, fmt.Sprintf("net.core.somaxconn is %d: if more than that connect to an end before the hub has taken them, the rest are refused, or wait; the hub asks for %d", n, backlog),
			fmt.Sprintf("sysctl net.core.somaxconn=%d", backlog))
	}
	x.lookAtStore()
}

func (x *examination) lookAtDescriptors() {
	if x.hubPID == 0 || x.Config == nil {
		return
	}
	text, err := x.machine.read(fmt.Sprintf("/proc/%d/limits", x.hubPID))
	if errors.Is(err, fs.ErrPermission) {
		x.hidden("the limits of the hub")
		return
	}
	limit, ok := openFiles(text)
	if err != nil || !ok {
		return
	}
	need, busy := x.Need.Descriptors()
	var fix []string
	if x.unit.name != "" {
		fix = x.unit.dropIn("limits", fmt.Sprintf("LimitNOFILE=%d", max(busy*2, 65536)))
	} else {
		fix = []string{fmt.Sprintf("prlimit --pid %d --nofile=%d:%[2]d", x.hubPID, busy*2)}
	}
	switch {
	case limit < need:
		x.found(Problem, fmt.Sprintf("the hub may have %d descriptors, and its links need %d when all peers are there", limit, need), fix...)
	case limit < busy:
		x.found(Problem, fmt.Sprintf("the hub may have %d descriptors: enough for all peers (%d), but if every link is held up at once (%d) some wait for others", limit, need, busy), fix...)
	}
	entries, err := os.ReadDir(filepath.Join(x.machine.Folder, fmt.Sprintf("/proc/%d/fd", x.hubPID)))
	switch used := uint64(len(entries)); {
	case errors.Is(err, fs.ErrPermission):
		x.hidden("the descriptors of the hub")
	case err == nil && used*10 > limit*9:
		x.found(Problem, fmt.Sprintf("the hub has %d descriptors open, of %d that it may have", used, limit), fix...)
	}
}

// openFiles finds the limit in /proc/PID/limits.
func openFiles(text string) (limit uint64, ok bool) {
	for line := range strings.Lines(text) {
		rest, found := strings.CutPrefix(line, "Max open files")
		fields := strings.Fields(rest)
		if !found || len(fields) < 1 {
			continue
		}
		if fields[0] == "unlimited" {
			return 1 << 62, true
		}
		limit, err := strconv.ParseUint(fields[0], 10, 64)
		return limit, err == nil
	}
	return 0, false
}

// lookAtPipes tells whether the kernel lets an unprivileged hub have the pipes that it holds bytes in.
func (x *examination) lookAtPipes() {
	if x.hub.pipes || len(x.ends) == 0 {
		return
	}
	// Each direction of a link that is held up has a pipe; one that is not borrows one.
	most := len(x.ends) * fullPipe
	if hard, ok := x.machine.number("/proc/sys/fs/pipe-user-pages-hard"); ok && hard > 0 && hard < most {
		x.found(Problem, fmt.Sprintf("fs.pipe-user-pages-hard gives user %s %d pages for pipes in all; if all links are held up at once they need %d, and beyond the limit a link cannot have one at all", x.hub, hard, most),
			fmt.Sprintf("sysctl fs.pipe-user-pages-hard=%d", 2*most))
	}
	if soft, ok := x.machine.number("/proc/sys/fs/pipe-user-pages-soft"); ok && soft > 0 && soft < 4*fullPipe {
		x.found(Note, fmt.Sprintf("fs.pipe-user-pages-soft gives user %s %d pages for pipes in all; with fewer than %d the hub's pipes are small, and bulk is slow", x.hub, soft, 4*fullPipe),
			"sysctl fs.pipe-user-pages-soft=16384")
	}
	if size, ok := x.machine.number("/proc/sys/fs/pipe-max-size"); ok && size < fullPipe*os.Getpagesize() {
		x.found(Note, fmt.Sprintf("fs.pipe-max-size is %d: the hub's pipes are smaller than it likes, and bulk is slower", size), fmt.Sprintf("sysctl fs.pipe-max-size=%d", fullPipe*os.Getpagesize()))
	}
}

// lookAtStore tells whether systemd keeps what has to outlive the hub.
func (x *examination) lookAtStore() {
	text := x.unit.get("FileDescriptorStoreMax")
	most, err := strconv.Atoi(text)
	if err != nil || x.Config == nil {
		return
	}
	if need := len(x.Config.Links) + 1; most < need {
		why := fmt.Sprintf("systemd keeps %d descriptors for the hub, and its links need %d and two for each pipe: what is beyond is lost when the hub is restarted or killed", most, need)
		if most == 0 {
			why = "systemd keeps no descriptors for the hub: when it is restarted or killed, all peers lose their connections"
		}
		x.found(Problem, why, x.unit.dropIn("store", "FileDescriptorStoreMax=16384")...)
	}
}
