package endpoint

import (
	"fmt"
	"os/user"
	"strconv"
)

// owners finds the numbers of a file's owner and group; -1 stands for the hub's own, as in chown(2).
func owners(s Spec) (uid, gid int, err error) {
	uid, gid = -1, -1
	if s.Owner != "" {
		uid, err = number(s.Owner, func() (string, error) {
			u, err := user.Lookup(s.Owner)
			if err != nil {
				return "", fmt.Errorf("%s cannot belong to user %q: there is none of that name; make it (useradd), or change owner", s.Address, s.Owner)
			}
			return u.Uid, nil
		})
	}
	if s.Group != "" && err == nil {
		gid, err = number(s.Group, func() (string, error) {
			g, err := user.LookupGroup(s.Group)
			if err != nil {
				return "", fmt.Errorf("%s cannot belong to group %q: there is none of that name; make it (groupadd), or change group", s.Address, s.Group)
			}
			return g.Gid, nil
		})
	}
	return uid, gid, err
}

// number reads text as an id, or the id that lookup finds for it.
func number(text string, lookup func() (string, error)) (int, error) {
	if id, err := strconv.ParseUint(text, 10, 32); err == nil {
		return int(id), nil
	}
	found, err := lookup()
	if err != nil {
		return -1, err
	}
	return strconv.Atoi(found)
}
