package client

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// denied says what keeps this program from the socket at a path, and who may go there; "" if that cannot be seen.
func denied(path string) string {
	needed := os.FileMode(0o222) // connect(2) needs to write to the socket, and to search each folder on the way
	info, err := os.Stat(path)
	for err != nil && path != "/" {
		path, needed = filepath.Dir(path), 0o111
		info, err = os.Stat(path)
	}
	if err != nil {
		return ""
	}
	file, known := info.Sys().(*syscall.Stat_t)
	if !known {
		return ""
	}
	owner, group := strconv.FormatUint(uint64(file.Uid), 10), strconv.FormatUint(uint64(file.Gid), 10)
	if u, err := user.LookupId(owner); err == nil {
		owner = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	mode := info.Mode().Perm()
	var who []string
	if mode&needed&0o700 != 0 && file.Uid != 0 {
		who = append(who, "as "+owner)
	}
	if mode&needed&0o070 != 0 {
		who = append(who, "as a member of the group "+group)
	}
	who = append(who, "as root")
	return fmt.Sprintf("%s belongs to %s:%s and has mode %04o; run this %s", path, owner, group, mode, strings.Join(who, ", or "))
}
