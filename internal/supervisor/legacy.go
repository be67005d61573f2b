package supervisor

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/address"
	"serialhub/internal/config"
	"serialhub/internal/continuity"
	"serialhub/internal/endpoint"
	"serialhub/internal/relay"
)

// legacy is what an earlier process has left for a link, or the service manager has passed for it. The link's first life takes
// it over.
type legacy struct {
	link    *continuity.Link // nil if the link is new
	sockets [2]int           // that were passed by the service manager, listening; -1 for none
	status  *Link            // how the link was, if the process was replaced; else nil
}

// label is how a part of a link is called where it is kept.
func label(part relay.Part) string {
	return strings.TrimSuffix(fmt.Sprintf("%s %s %s", part.Side, part.Role, part.Trace), " ")
}

// parseLabel reads what label wrote.
func parseLabel(text string) (part relay.Part, ok bool) {
	fields := strings.Fields(text)
	if len(fields) < 2 || fields[0] != "a" && fields[0] != "b" {
		return part, false
	}
	if fields[0] == "b" {
		part.Side = relay.B
	}
	part.Role = relay.Role(fields[1])
	if len(fields) > 2 {
		part.Trace = fields[2]
	}
	return part, true
}

// keep has the parts of the link kept. The wire calls it on its loop.
func (l *link) keep(parts []relay.Part) {
	labels, descriptors := make([]string, len(parts)), make([]int, len(parts))
	for i, part := range parts {
		labels[i], descriptors[i] = label(part), part.FD
	}
	if err := l.stash.Keep(l.name(), labels, descriptors); err != nil {
		l.log().Warn("the link's peers would not survive the end of the hub", "error", err)
	}
}

// takeOver makes the link what was left of it. Ends that are not as the config wants them are closed.
func (c *control) takeOver() error {
	left := c.legacy
	if left == nil {
		c.update(func(*Link) {}) // nothing is open yet
		return nil
	}
	defer c.adopted()
	estate := c.estate(left)
	if err := c.wire.Adopt(estate); err != nil {
		return fmt.Errorf("what was left of the link cannot be taken over: %w", err)
	}
	events := c.events.take()
	resumed := [2]*Peer{}
	for len(events) > 0 && events[0].Kind == relay.Resumed {
		peer := identify(events[0])
		resumed[events[0].Side] = &peer
		c.log().Info("peer taken over", attributes(events[0].Side, peer)...)
		events = events[1:]
	}
	for _, side := range bothSides() {
		if listener, ok := estate.Ends[side].Listener.(*endpoint.Listener); ok {
			c.watchOver(side, listener)
		}
		if resumed[side] != nil && estate.Ends[side].Closing {
			c.ends[side].closing = &closing{id: resumed[side].id, timer: time.NewTimer(drainTime)}
		}
	}
	c.update(func(s *Link) {
		for side := range s.Ends {
			s.Ends[side].Peer = resumed[side]
			s.Ends[side].listening = c.ends[side].listener != nil
			if resumed[side] != nil && left.status == nil {
				c.counters[side].Connections.Add(1)
			}
		}
		if resumed[relay.A] != nil && resumed[relay.B] != nil && left.status == nil {
			s.Sessions++
		}
	})
	return c.followAll(events)
}

// estate sorts what was left by end, and closes what the config does not want any more.
func (c *control) estate(left *legacy) (estate relay.Estate) {
	stays := [2]bool{true, true}
	for side := range estate.Ends {
		estate.Ends[side].Buffer = -1
	}
	var parts []relay.Part
	if left.link != nil {
		for i, text := range left.link.Labels {
			part, ok := parseLabel(text)
			part.FD = left.link.FDs[i]
			if !ok {
				unix.Close(part.FD) // it is of another version
				continue
			}
			parts = append(parts, part)
			if part.Role == relay.RoleListener {
				bound, err := endpoint.AddressOf(part.FD)
				stays[part.Side] = err == nil && bound == c.end(part.Side).Listen
			}
		}
	}
	for _, part := range parts {
		if !stays[part.Side] {
			unix.Shutdown(part.FD, unix.SHUT_RDWR) // it came through an address that the end does not have any more
			unix.Close(part.FD)                    // likewise
			continue
		}
		if err := c.inherit(&estate.Ends[part.Side], part); err != nil {
			c.log().Warn("something that was left cannot be used", "end", part.Side.String(), "error", err)
		}
	}
	for side := range left.sockets {
		c.pass(relay.Side(side), left.sockets[side], &estate.Ends[side])
	}
	return estate
}

// pass makes an end listen on a socket of the service manager, which this process was passed, or one before it.
func (c *control) pass(side relay.Side, fd int, end *relay.EndEstate) {
	if fd < 0 && end.Listener != nil && end.Listener.Trace() == endpoint.ForeignTrace {
		if copied, err := unix.FcntlInt(uintptr(end.Listener.FD()), unix.F_DUPFD_CLOEXEC, 0); err == nil {
			fd = copied
		}
	}
	c.passed[side] = fd
	if fd >= 0 && end.Listener == nil {
		if listener, err := c.foreign(side); err == nil {
			end.Listener = listener
		}
	}
}

// foreign makes a listener of a copy of the socket that the service manager has passed.
func (c *control) foreign(side relay.Side) (*endpoint.Listener, error) {
	fd, err := unix.FcntlInt(uintptr(c.passed[side]), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return endpoint.AdoptForeign(fd, c.end(side).Listen), nil
}

func (l *link) closePassed(side relay.Side) {
	if l.passed[side] >= 0 {
		unix.Close(l.passed[side]) // the service manager has it still
		l.passed[side] = -1
	}
}

// openStash takes the stash that an earlier process has made for the link, or makes one.
func (l *link) openStash() {
	if l.legacy != nil && l.legacy.link != nil {
		l.stash = l.legacy.link.Stash
		return
	}
	if l.parts.store == nil {
		return
	}
	var err error
	if l.stash, err = l.parts.store.NewLink(l.config.Name); err != nil {
		l.log().Warn("the link's peers would not survive the end of the hub", "error", err)
	}
}

// closeStash lets go of everything that is kept of a link that has ended.
func (l *link) closeStash() {
	l.dropLegacy()
	for _, side := range bothSides() {
		l.closePassed(side)
	}
	if l.stash == nil {
		return
	}
	if err := l.stash.Close(); err != nil {
		l.log().Warn("what was kept of the link could not be closed", "error", err)
	}
}

// dropLegacy closes what was left for the link, if it has not been taken over.
func (l *link) dropLegacy() {
	if l.legacy == nil {
		return
	}
	if l.legacy.link != nil {
		l.legacy.link.CloseParts()
	}
	for _, fd := range l.legacy.sockets {
		if fd >= 0 {
			unix.Close(fd) // the service manager has it still
		}
	}
	l.adopted()
}

// adopted notes that nothing is left to be taken over.
func (l *link) adopted() {
	l.legacy = nil
	l.parts.adopting.Done()
}

// id tells the link from all others; without a stash nobody asks.
func (l *link) id() uint64 {
	if l.stash == nil {
		return 0
	}
	return l.stash.ID()
}

// inherit adds a part to what was left of an end.
func (c *control) inherit(end *relay.EndEstate, part relay.Part) error {
	if part.Role == relay.RoleListener {
		socket := socketOf(c.end(part.Side))
		listener, err := endpoint.Adopt(part.FD, socket, part.Trace)
		if err != nil {
			return err
		}
		end.Listener = listener
		return listener.SetFile(socket)
	}
	if part.Role == relay.RoleBuffer {
		end.Buffer = part.FD
		return nil
	}
	peer, err := endpoint.AdoptPeer(part.FD)
	if err != nil {
		return err
	}
	switch part.Role {
	case relay.RolePeer, relay.RoleClosing:
		end.Peer, end.Closing = &peer, part.Role == relay.RoleClosing
	case relay.RoleQueued:
		end.Queued = append(end.Queued, peer)
	case relay.RoleLeft:
		end.Left = append(end.Left, peer)
	case relay.RoleListener, relay.RoleBuffer:
	}
	return nil
}

// restore makes the status what it was before the process was replaced. It tells whether the link had been stopped then, or given up.
func (l *link) restore(was *Link) (rests bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	name := l.status.Name
	l.status = *was
	l.status.Name = name
	for side := range l.status.Ends {
		end, c := &l.status.Ends[side], &l.counters[side]
		end.Peer, end.Queued = nil, nil
		c.Connections.Store(end.Connections)
		c.Rejected.Store(end.Rejected)
		c.Received.Store(end.Received)
		c.Sent.Store(end.Sent)
		c.Discarded.Store(end.Discarded)
	}
	return was.State == LinkStopped || was.State == LinkFailed
}

// legacies finds what was left for each link of a config.
func legacies(links []config.Link, left *continuity.Inheritance, was []Link) map[string]*legacy {
	found := map[string]*legacy{}
	of := func(name string) *legacy {
		if found[name] == nil {
			found[name] = &legacy{sockets: [2]int{-1, -1}}
		}
		return found[name]
	}
	for i := range links {
		c := &links[i]
		if c.Disabled {
			continue
		}
		if link := left.Links[c.Name]; link != nil {
			of(c.Name).link = link
			delete(left.Links, c.Name)
		}
		for side, end := range c.Ends() {
			if fd := takeSocket(left, fmt.Sprintf("%s.%s", c.Name, relay.Side(side)), end.Listen); fd >= 0 {
				of(c.Name).sockets[side] = fd
			}
		}
		for j := range was {
			if was[j].Name == c.Name {
				of(c.Name).status = &was[j]
			}
		}
	}
	return found
}

// takeSocket takes the socket that was passed for an end: by that name or, if it has another, because it is bound to the
// end's address. It returns -1 if there is none.
func takeSocket(left *continuity.Inheritance, name string, addr address.Address) int {
	for _, byName := range []bool{true, false} {
		for i, file := range left.Sockets {
			bound, err := endpoint.AddressOf(file.FD)
			if err == nil && (byName && file.Name == name || !byName && bound == addr) {
				left.Sockets = append(left.Sockets[:i:i], left.Sockets[i+1:]...)
				return file.FD
			}
		}
	}
	return -1
}
