package doctor

import (
	"cmp"
	"encoding/binary"
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

	"serialhub/internal/qemu"
)

// user is what a process may do to files by.
type user struct {
	uid    int
	gids   []int // the first is the main one
	all    bool  // it may do everything, whatever the modes say (CAP_DAC_OVERRIDE)
	chown  bool  // it may give files away (CAP_CHOWN)
	bind   bool  // it may have ports below 1024 (CAP_NET_BIND_SERVICE)
	pipes  bool  // the limits of pipes are not for it (CAP_SYS_RESOURCE)
	exists bool
}

// The bits of CapEff, see linux/capability.h.
const (
	capChown       = 0
	capDACOverride = 1
	capBind        = 10
	capResource    = 24
)

// userOf reads /proc/PID/status.
func (m Machine) userOf(pid int) (user, error) {
	text, err := m.read(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return user{}, err
	}
	u := user{uid: -1, exists: true}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		switch {
		case key == "Uid" && len(fields) == 4:
			u.uid, err = strconv.Atoi(fields[3]) // the one for files
		case key == "Gid" && len(fields) == 4:
			gid, e := strconv.Atoi(fields[3])
			u.gids, err = append([]int{gid}, u.gids...), cmp.Or(err, e)
		case key == "Groups":
			for _, field := range fields {
				if gid, e := strconv.Atoi(field); e == nil {
					u.gids = append(u.gids, gid)
				}
			}
		case key == "CapEff" && len(fields) == 1:
			bits, e := strconv.ParseUint(fields[0], 16, 64)
			err = cmp.Or(err, e)
			has := func(bit int) bool { return bits&(1<<bit) != 0 }
			u.all, u.chown, u.bind, u.pipes = has(capDACOverride), has(capChown), has(capBind), has(capResource)
		}
	}
	if err == nil && u.uid < 0 {
		err = errors.New("there is no Uid in it")
	}
	return u, err
}

// lookUser finds a user of this machine, with all groups.
func lookUser(name string) (user, error) {
	found, err := osuser.Lookup(name)
	if err != nil {
		if found, err = osuser.LookupId(name); err != nil {
			return user{}, err
		}
	}
	u := user{exists: true}
	if u.uid, err = strconv.Atoi(found.Uid); err != nil {
		return user{}, err
	}
	if u.uid == 0 {
		u.all, u.chown, u.bind, u.pipes = true, true, true, true
	}
	main, err := strconv.Atoi(found.Gid)
	if err != nil {
		return user{}, err
	}
	u.gids = []int{main}
	others, _ := found.GroupIds() // without, there are fewer
	for _, text := range others {
		if gid, err := strconv.Atoi(text); err == nil && gid != main {
			u.gids = append(u.gids, gid)
		}
	}
	return u, nil
}

// String is the user's name, or else the number.
func (u user) String() string {
	if found, err := osuser.LookupId(strconv.Itoa(u.uid)); err == nil {
		return found.Username
	}
	return strconv.Itoa(u.uid)
}

// word is the user's name for a shell.
func (u user) word() string { return qemu.Quote(u.String()) }

// The bits of a permission.
const (
	mayRead  = 4
	mayWrite = 2
	mayEnter = 1
)

// may tells whether the user may do that to a file, by its mode and its list of access (acl(5)).
func (u user) may(path string, what uint32) (bool, error) {
	if u.all {
		return true, nil
	}
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return false, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if int(stat.Uid) == u.uid {
		return stat.Mode>>6&what == what, nil
	}
	if list := readACL(path); list != nil {
		return list.allow(u, int(stat.Gid), what), nil
	}
	if slices.Contains(u.gids, int(stat.Gid)) {
		return stat.Mode>>3&what == what, nil
	}
	return stat.Mode&what == what, nil
}

// barred finds the first folder on the way to a file that the user may not enter; "" if there is none. It is an error if that cannot be told.
func (u user) barred(path string) (string, error) {
	folder := filepath.Dir(path)
	if real, err := filepath.EvalSymlinks(folder); err == nil {
		folder = real
	}
	var way []string
	for at := folder; ; at = filepath.Dir(at) {
		way = append(way, at)
		if at == "/" {
			break
		}
	}
	for _, at := range slices.Backward(way) {
		ok, err := u.may(at, mayEnter)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return "", nil // whoever needs it says so
		case err != nil:
			return "", err
		case !ok:
			return at, nil
		}
	}
	return "", nil
}

// acl is the list of who may access a file, as the kernel keeps it: linux/posix_acl_xattr.h.
type acl []aclEntry

type aclEntry struct {
	Tag, Perm uint16
	ID        uint32
}

// The tags of aclEntry.
const (
	aclUser     = 0x02
	aclGroupObj = 0x04
	aclGroup    = 0x08
	aclMask     = 0x10
	aclOther    = 0x20
)

// readACL reads the list of a file; nil if it has none beside its mode.
func readACL(path string) acl {
	buffer := make([]byte, 4+8*1024)
	n, err := unix.Getxattr(path, "system.posix_acl_access", buffer)
	if err != nil || n < 4 {
		return nil
	}
	var list acl
	for rest := buffer[4:n]; len(rest) >= 8; rest = rest[8:] {
		list = append(list, aclEntry{binary.LittleEndian.Uint16(rest), binary.LittleEndian.Uint16(rest[2:]), binary.LittleEndian.Uint32(rest[4:])})
	}
	return list
}

// allow judges as acl(5) says, for whoever does not own the file.
func (l acl) allow(u user, group int, what uint32) bool {
	mask := uint16(7)
	for _, e := range l {
		if e.Tag == aclMask {
			mask = e.Perm
		}
	}
	member := false
	for _, e := range l {
		permits := uint32(e.Perm&mask)&what == what
		switch {
		case e.Tag == aclUser && int(e.ID) == u.uid:
			return permits
		case e.Tag == aclGroupObj && slices.Contains(u.gids, group), e.Tag == aclGroup && slices.Contains(u.gids, int(e.ID)):
			if permits {
				return true
			}
			member = true
		}
	}
	if member {
		return false
	}
	for _, e := range l {
		if e.Tag == aclOther {
			return uint32(e.Perm)&what == what
		}
	}
	return false
}
