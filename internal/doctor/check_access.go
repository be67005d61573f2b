package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	osuser "os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"serialhub/internal/address"
	"serialhub/internal/qemu"
)

// lookAtAccess tells who cannot come to whom because of modes and owners.
func (x *examination) lookAtAccess() {
	for _, e := range x.ends {
		if e.disabled || e.address.Path() == "" {
			continue
		}
		switch e.way {
		case "connect":
			x.lookAtReach(e)
		case "listen", "pty":
			for _, p := range x.processes {
				if p.pid != x.hubPID && p.wants(e) {
					x.lookAtComer(e, p)
				}
			}
		}
	}
}

// wants tells whether a process means to connect to the end, by its command line.
func (p process) wants(e end) bool {
	if p.vm == nil {
		return filepath.Base(p.args[0]) != "serialhub" && slices.ContainsFunc(p.args[1:], func(word string) bool { return mentions(word, e.address.Path()) })
	}
	if e.way == "pty" {
		return slices.ContainsFunc(p.args[1:], func(word string) bool { return mentions(word, e.address.Path()) })
	}
	return slices.ContainsFunc(p.vm.Chardevs, func(s qemu.Socket) bool { return !s.Server && e.named(s) })
}

// lookAtComer tells whether a process may come to the end's file.
func (x *examination) lookAtComer(e end, p process) {
	path := e.address.Path()
	u, err := x.machine.userOf(p.pid)
	if err != nil {
		return // it has ended
	}
	barred, err := u.barred(path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		x.hidden("the folders on the way to " + path)
		return
	case err != nil:
		return
	case barred != "":
		x.at(e, Problem, fmt.Sprintf("%s runs as user %s, who cannot enter the folder %s on the way to %s; let that user enter, or move the socket to /run/serialhub", p, u, barred, path), letIn(u, barred))
		return
	}
	if e.way == "listen" {
		x.lookAtUID(e, p, u)
	}
	file := path
	if e.way == "pty" {
		if file, err = filepath.EvalSymlinks(path); err != nil {
			return
		}
	}
	if ok, err := u.may(file, mayWrite); err != nil || ok {
		return // if it is not there, that is another matter
	}
	x.at(e, Problem, fmt.Sprintf("%s runs as user %s, who may not write to %s (%s); add to end %s in %s, as {%s: …} if it is a path alone, a group that this user is in, and a mode", p, u, path, dressOf(file), e.name, x.Path, e.way),
		x.letWrite(u)...)
}

// dressOf says whose a file is, and what mode it has.
func dressOf(path string) string {
	var stat unix.Stat_t
	if unix.Stat(path, &stat) != nil {
		return "nobody knows whose"
	}
	return fmt.Sprintf("of %s:%s, mode %04o", user{uid: int(stat.Uid)}, groupName(int(stat.Gid)), stat.Mode&0o777)
}

func groupName(gid int) string {
	if g, err := osuser.LookupGroupId(strconv.Itoa(gid)); err == nil {
		return g.Name
	}
	return strconv.Itoa(gid)
}

// letWrite are the lines that give the end's file to a group of that user. What else the end says, such as allow_uids, stays.
func (x *examination) letWrite(u user) []string {
	if len(u.gids) == 0 {
		return nil
	}
	gid := u.gids[0]
	for _, candidate := range u.gids { // one that the hub can give without being given anything
		if slices.Contains(x.hub.gids, candidate) {
			gid = candidate
			break
		}
	}
	group := groupName(gid)
	lines := []string{"group: " + yamlWord(group), `mode: "0660"`}
	if !x.hub.chown && !slices.Contains(x.hub.gids, gid) {
		return append(lines, x.join(group)...)
	}
	return append(lines, "serialhub reload")
}

// join are the lines that make the hub a member of a group.
func (x *examination) join(group string) []string {
	if x.unit.name != "" && !x.unit.user {
		return x.unit.dropIn("group-"+group, "SupplementaryGroups="+group)
	}
	return append([]string{fmt.Sprintf("usermod -aG %s %s", qemu.Quote(group), x.hub.word())}, x.restart()...)
}

// lookAtUID tells of a process that allow_uids keeps out.
func (x *examination) lookAtUID(e end, p process, u user) {
	if e.config == nil || len(e.config.AllowUIDs) == 0 || slices.Contains(e.config.AllowUIDs, u.uid) {
		return
	}
	with := append(slices.Clone(e.config.AllowUIDs), u.uid)
	var numbers []string
	for _, uid := range with {
		numbers = append(numbers, strconv.Itoa(uid))
	}
	x.at(e, Problem, fmt.Sprintf("%s runs as user %s, uid %d, and allow_uids does not let that in", p, u, u.uid), "allow_uids: ["+strings.Join(numbers, ", ")+"]", "serialhub reload")
}

// lookAtReach tells why the hub cannot come to a socket that somebody else listens on.
func (x *examination) lookAtReach(e end) {
	path := e.address.Path()
	if e.live != nil && !e.failing() || e.address.Kind() != address.Unix {
		return
	}
	barred, err := x.hub.barred(path)
	if errors.Is(err, fs.ErrPermission) {
		x.hidden("the folders on the way to " + path)
		return
	}
	if err != nil {
		return
	}
	if barred != "" {
		x.at(e, Problem, fmt.Sprintf("the hub, which is user %s, cannot enter the folder %s on the way to %s", x.hub, barred, path), letIn(x.hub, barred))
		return
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode()&fs.ModeSocket == 0 {
		return
	}
	if ok, err := x.hub.may(path, mayWrite); err == nil && !ok {
		folder := filepath.Dir(path)
		x.at(e, Problem, fmt.Sprintf("the hub, which is user %s, may not write to %s (%s); the second line is for the sockets that will be made there", x.hub, path, dressOf(path)),
			setACL("-m", x.hub, "rw", path), setACL("-d -m", x.hub, "rw", folder))
	}
}
