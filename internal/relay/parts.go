package relay

// Part is a descriptor that a link owns, and what it is there for. What the link does with it before Keep returns, it does to a
// descriptor that is kept already.
type Part struct {
	Side  Side
	Role  Role
	FD    int
	Via   string // how it, or its peers, have come in; "" for a buffer
	Trace string // what else the next process has to know of it
}

// Role is what a descriptor is to its link.
type Role string

// The roles.
const (
	RoleListener Role = "listener"
	RolePeer     Role = "peer"    // is connected
	RoleClosing  Role = "closing" // likewise, and is closed once it has got what was sent to it
	RoleQueued   Role = "queued"  // waits for the end; in the order of arrival
	RoleLeft     Role = "left"    // has gone, with bytes that are unread; in the order of departure
	RoleBuffer   Role = "buffer"  // has what was sent to nobody
	RoleTape     Role = "tape"    // has what watchers have seen; of the whole link
)

// keep has the link's parts kept, if they have changed. What an earlier process has kept of the link stays until the link has it.
func (k *Link) keep() {
	if !k.changed || !k.begun {
		return
	}
	k.changed = k.hooks.Keep != nil && !k.hooks.Keep(k.parts())
}

// parts are what the link owns, but for pipes.
func (k *Link) parts() (list []Part) {
	for side, e := range k.ends {
		add := func(role Role, p *peer) {
			list = append(list, Part{Side: Side(side), Role: role, FD: p.FD, Via: p.Via, Trace: p.Trace()})
		}
		if e.listener != nil {
			fd, trace := e.listener.Kept()
			list = append(list, Part{Side: Side(side), Role: RoleListener, FD: fd, Via: e.listener.Via(), Trace: trace})
		}
		if e.peer != nil && e.peer.closing {
			add(RoleClosing, e.peer)
		} else if e.peer != nil {
			add(RolePeer, e.peer)
		}
		for _, p := range e.queue {
			add(RoleQueued, p)
		}
		for _, p := range k.lanes[side].left {
			add(RoleLeft, p)
		}
		if buffer := k.lanes[side].buffer; buffer != nil {
			list = append(list, Part{Side: Side(side), Role: RoleBuffer, FD: buffer.fd})
		}
	}
	if k.watcher != nil {
		list = append(list, Part{Role: RoleTape, FD: k.watcher.Kept()})
	}
	return list
}

// Renew has the link's parts kept anew, because its name or something of a listener is another now.
func (k *Link) Renew() {
	k.loop.call(k, func() {
		k.changed = true
		k.settle()
	})
}
