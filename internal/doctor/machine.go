package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"serialhub/internal/qemu"
)

// Machine is where the examination gets its facts of the machine from. Folders and files of sockets are always the real ones.
type Machine struct {
	Folder string // before /proc, /etc and /var/log; "" but in tests
	Self   int    // the pid of this process
	UID    int    // of this process

	// Run runs a program that tells something, and returns what it prints; exec.ErrNotFound if it is not there.
	Run func(ctx context.Context, name string, args ...string) (string, error)
}

// This is the machine that the program runs on.
func This() Machine { return Machine{Self: os.Getpid(), UID: os.Geteuid(), Run: run} }

// programTime is how long a program that tells something is waited for.
const programTime = 10 * time.Second

func run(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, programTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=", "PAGER=")
	out, err := cmd.Output()
	return string(out), err
}

// Root tells whether this process may see everything.
func (m Machine) Root() bool { return m.UID == 0 }

// read reads a file that is a text of the system's.
func (m Machine) read(path string) (string, error) {
	text, err := os.ReadFile(filepath.Join(m.Folder, path))
	return string(text), err
}

// number reads a file that is a number, such as those of /proc/sys; ok is false if it is not there.
func (m Machine) number(path string) (n int, ok bool) {
	text, err := m.read(path)
	if err != nil {
		return 0, false
	}
	n, err = strconv.Atoi(strings.TrimSpace(text))
	return n, err == nil
}

// link reads a symbolic link of /proc.
func (m Machine) link(path string) (string, error) { return os.Readlink(filepath.Join(m.Folder, path)) }

// process is one that runs.
type process struct {
	pid  int
	args []string
	vm   *qemu.Machine // nil if it is no QEMU
}

func (p process) String() string {
	name := filepath.Base(p.args[0])
	if p.vm != nil && p.vm.Name != "" {
		return fmt.Sprintf("%s of the VM %s (pid %d)", name, p.vm.Name, p.pid)
	}
	return fmt.Sprintf("%s (pid %d)", name, p.pid)
}

// processes lists those whose command line can be read, but this one. Those in another root folder mean other files by the same names, and are left out.
func (m Machine) processes() (all []process) {
	folders, err := filepath.Glob(filepath.Join(m.Folder, "/proc/[0-9]*"))
	if err != nil {
		return nil
	}
	for _, folder := range folders {
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil || pid == m.Self {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, "cmdline"))
		if err != nil || len(text) == 0 {
			continue
		}
		if root, err := os.Readlink(filepath.Join(folder, "root")); err == nil && root != "/" {
			continue
		}
		p := process{pid: pid, args: strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")}
		if qemu.Is(p.args) {
			p.vm = qemu.Parse(p.args)
			if folder, err := os.Readlink(filepath.Join(folder, "cwd")); err == nil {
				p.vm.In(folder)
			}
		}
		all = append(all, p)
	}
	return all
}

// command names a process by its pid.
func (m Machine) command(pid int) string {
	text, err := m.read(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "pid " + strconv.Itoa(pid)
	}
	return fmt.Sprintf("%s (pid %d)", strings.TrimSpace(text), pid)
}

// holder finds a process that has a file open of which the link in /proc reads so; 0 if none is visible. hidden tells whether some processes could not be looked
// at.
func (m Machine) holder(target string, except int) (pid int, hidden bool) {
	folders, err := filepath.Glob(filepath.Join(m.Folder, "/proc/[0-9]*"))
	if err != nil {
		return 0, false
	}
	for _, folder := range folders {
		entries, err := os.ReadDir(filepath.Join(folder, "fd"))
		if errors.Is(err, os.ErrPermission) {
			hidden = true
		}
		for _, entry := range entries {
			is, err := os.Readlink(filepath.Join(folder, "fd", entry.Name()))
			if err != nil || is != target {
				continue
			}
			if pid, err = strconv.Atoi(filepath.Base(folder)); err == nil && pid != except {
				return pid, false
			}
		}
	}
	return 0, hidden
}
