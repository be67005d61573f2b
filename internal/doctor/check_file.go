package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"serialhub/internal/address"
	"serialhub/internal/endpoint"
	"serialhub/internal/qemu"
)

// lookAtFiles tells what keeps the hub from its files, where it has not made them.
func (x *examination) lookAtFiles() {
	for _, e := range x.ends {
		if e.isFile() && e.failing() {
			x.lookAtFile(e)
		}
	}
}

func (x *examination) lookAtFile(e end) {
	path := e.address.Path()
	folder := filepath.Dir(path)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		x.lookAtFolder(e, folder)
		return
	case errors.Is(err, fs.ErrPermission):
		x.hidden("what is in " + folder)
		return
	case err != nil:
		x.at(e, Problem, fmt.Sprintf("%s cannot be made: %v", path, err), "ls -ld "+qemu.Quote(folder))
		return
	}
	if e.address.Kind() == address.PTY {
		if info.Mode()&fs.ModeSymlink == 0 {
			x.at(e, Problem, fmt.Sprintf("%s is in the way: it is no link to a terminal, and the hub leaves it alone; choose another path, or move it away", path),
				fmt.Sprintf("mv -i %s %s", qemu.Quote(path), qemu.Quote(path+".old")))
		}
		return
	}
	if info.Mode()&fs.ModeSocket == 0 {
		x.at(e, Problem, fmt.Sprintf("%s is in the way: it is no socket, and the hub leaves it alone; choose another path, or move it away", path),
			fmt.Sprintf("mv -i %s %s", qemu.Quote(path), qemu.Quote(path+".old")))
		return
	}
	alive, err := endpoint.HasOwner(path)
	switch {
	case err != nil:
		x.hidden("whether somebody listens on " + path)
	case alive:
		x.lookAtOwner(e, path)
	default:
		x.lookAtStale(e, path, info)
	}
}

// lookAtOwner names who has the socket.
func (x *examination) lookAtOwner(e end, path string) {
	pid := endpoint.Owner(path)
	if pid != 0 && (pid == x.hubPID || pid == 1 && x.hubPID == 0) {
		return // the hub itself, or systemd for it
	}
	if pid == 0 && x.mayBeHub() {
		x.hidden("who listens on " + path)
		return
	}
	if pid == 0 {
		x.at(e, Problem, fmt.Sprintf("%s is in use by a program that is not visible from here (another user's, or one in a container); end it, or choose another path", path),
			"sudo ss -xlp src "+qemu.Quote(path))
		return
	}
	message, fix := x.inUse(path, "path", pid, &e)
	x.at(e, Problem, message, fix...)
}

// inUse says who has what an end is to have. It prints no line that would end it: that may be a VM. The end is nil if it is the API.
func (x *examination) inUse(what, kind string, pid int, e *end) (message string, fix []string) {
	who := x.machine.command(pid)
	see := fmt.Sprintf("ps -o pid,user,args -p %d", pid)
	at := slices.IndexFunc(x.processes, func(p process) bool { return p.pid == pid && p.vm != nil })
	switch {
	case at < 0:
		return fmt.Sprintf("%s is in use by %s; end that program, or choose another %s", what, who, kind), []string{see}
	case e != nil && slices.ContainsFunc(x.processes[at].vm.Chardevs, func(s qemu.Socket) bool { return s.Server && e.named(s) }):
		return fmt.Sprintf("%s is in use by %s, which listens there itself: have end %s in %s connect to it, as below, or start the VM without server=on", what, x.processes[at], e.name, x.Path),
			[]string{fmt.Sprintf("%s: {connect: %s}", e.name, yamlWord(e.address.String())), "serialhub reload"}
	default:
		return fmt.Sprintf("%s is in use by %s; choose another %s", what, x.processes[at], kind), []string{see}
	}
}

// yamlWord writes a text as a value in YAML.
func yamlWord(text string) string {
	if text != "" && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/:") == "" && !strings.HasSuffix(text, ":") {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

// mayBeHub tells whether what cannot be seen may be the hub's own: a hub runs, does not say what it has, and is another user's.
func (x *examination) mayBeHub() bool {
	return !x.machine.Root() && x.Status == nil && (x.hubPID != 0 || x.Refused)
}

// lookAtStale tells of a socket whose owner is dead, if the hub may not take it over.
func (x *examination) lookAtStale(e end, path string, info fs.FileInfo) {
	folder := filepath.Dir(path)
	var file, dir unix.Stat_t
	if unix.Lstat(path, &file) != nil || unix.Stat(folder, &dir) != nil {
		return
	}
	writes, err := x.hub.may(folder, mayWrite|mayEnter)
	if err != nil {
		x.hidden("who may remove " + path)
		return
	}
	sticky := dir.Mode&unix.S_ISVTX != 0 && !x.hub.all && int(file.Uid) != x.hub.uid && int(dir.Uid) != x.hub.uid
	if writes && !sticky {
		return // it will
	}
	why := fmt.Sprintf("user %s may not write into %s", x.hub, folder)
	if writes {
		why = fmt.Sprintf("it belongs to %s, and in %s nobody else may remove it", user{uid: int(file.Uid)}, folder)
	}
	x.at(e, Problem, fmt.Sprintf("%s was left behind by a program that has died (since %s), and the hub, which is user %s, cannot take it over: %s", path, info.ModTime().Format("2006-01-02 15:04"), x.hub, why),
		"sudo rm "+qemu.Quote(path))
}

// lookAtFolder tells whether the hub can make a file there.
func (x *examination) lookAtFolder(e end, folder string) {
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fix := []string{"mkdir -p " + qemu.Quote(folder)}
		if !x.hub.all {
			fix = append(fix, fmt.Sprintf("chown %s %s", x.hub.word(), qemu.Quote(folder)))
		}
		x.at(e, Problem, fmt.Sprintf("the folder %s does not exist", folder), fix...)
	case errors.Is(err, fs.ErrPermission):
		x.hidden("the folder " + folder)
	case err != nil:
		x.at(e, Problem, err.Error(), "ls -ld "+qemu.Quote(folder))
	case !info.IsDir():
		x.at(e, Problem, fmt.Sprintf("%s is not a folder; choose another path", folder))
	case x.unit.name != "" && e.socketUnit() != "": // not for the hub to make
	default:
		barred, err := x.hub.barred(filepath.Join(folder, "x"))
		if err == nil && barred != "" {
			x.at(e, Problem, fmt.Sprintf("the hub, which is user %s, cannot enter the folder %s", x.hub, barred), letIn(x.hub, barred))
			return
		}
		if ok, err := x.hub.may(folder, mayWrite|mayEnter); err == nil && !ok {
			x.at(e, Problem, fmt.Sprintf("the hub, which is user %s, cannot make a file in %s", x.hub, folder), setACL("-m", x.hub, "rwx", folder))
		}
	}
}

// letIn is the line that lets a user enter a folder, and do nothing else there.
func letIn(u user, folder string) string { return setACL("-m", u, "x", folder) }

// setACL is the line that gives a user rights to a file. A name that has more than a name's characters, as those of a directory service may, is written as
// the number: setfacl reads it as a part of its own language.
func setACL(flags string, u user, rights, path string) string {
	name := u.String()
	if strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != "" {
		name = strconv.Itoa(u.uid)
	}
	return fmt.Sprintf("setfacl %s u:%s:%s %s", flags, name, rights, qemu.Quote(path))
}
