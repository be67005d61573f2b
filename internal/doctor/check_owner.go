package doctor

import (
	"fmt"
	osuser "os/user"
	"slices"
	"strconv"

	"serialhub/internal/qemu"
)

// lookAtOwners tells of groups and users of the config that there are not, or to which the hub may not give a file.
func (x *examination) lookAtOwners() {
	for _, e := range x.ends {
		if e.config == nil || e.disabled {
			continue
		}
		if name := e.config.Group; name != "" {
			x.lookAtGroup(e, name)
		}
		if name := e.config.Owner; name != "" {
			x.lookAtNewOwner(e, name)
		}
	}
}

func (x *examination) lookAtGroup(e end, name string) {
	gid, err := strconv.Atoi(name)
	if err != nil {
		g, err := osuser.LookupGroup(name)
		if err != nil {
			x.at(e, Problem, fmt.Sprintf("there is no group %s on this machine, which the end is to have; make it, or write another one (getent group lists them)", name), "groupadd --system "+qemu.Quote(name))
			return
		}
		if gid, err = strconv.Atoi(g.Gid); err != nil {
			return
		}
	}
	if !x.hub.chown && !slices.Contains(x.hub.gids, gid) {
		x.at(e, Problem, fmt.Sprintf("the hub, which is user %s, is not in the group %s, and so cannot give it the file", x.hub, groupName(gid)), x.join(groupName(gid))...)
	}
}

func (x *examination) lookAtNewOwner(e end, name string) {
	uid, err := strconv.Atoi(name)
	if err != nil {
		u, err := lookUser(name)
		if err != nil {
			x.at(e, Problem, fmt.Sprintf("there is no user %s on this machine, who is to own the end's file; make it, or write another one", name), "useradd --system "+qemu.Quote(name))
			return
		}
		uid = u.uid
	}
	if x.hub.chown || x.hub.uid == uid {
		return
	}
	message := fmt.Sprintf("the hub, which is user %s, may not give its file to user %s: that takes CAP_CHOWN. Better leave owner out, and give the end a group and a mode", x.hub, name)
	if x.unit.name == "" || x.unit.user {
		x.at(e, Problem, message)
		return
	}
	x.at(e, Problem, message+"; or let it:", x.unit.dropIn("owner", "CapabilityBoundingSet=CAP_CHOWN CAP_FOWNER", "AmbientCapabilities=CAP_CHOWN CAP_FOWNER")...)
}
