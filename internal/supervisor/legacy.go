package supervisor

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/config"
	"serialhub/internal/continuity"
	"serialhub/internal/endpoint"
	"serialhub/internal/relay"
)

// legacy is what an earlier process has left for a link, or the service manager has passed for it. The link's first life takes
// it over.
type legacy struct {
	stash  *continuity.LinkStash // nil if the link is new
	parts  []relay.Part          // that fit the config
	status *Link                 // how the link was, if the process was replaced; else nil
}

// label is how a part of a link is called where it is kept.
func label(part relay.Part) string {
	return strings.Join([]string{part.Side.String(), string(part.Role), url.QueryEscape(part.Via), url.QueryEscape(part.Trace)}, " ")
}

// parseLabel reads what label wrote.
func parseLabel(text string) (part relay.Part, ok bool) {
	fields := strings.Split(text, " ")
	if len(fields) != 4 || fields[0] != "a" && fields[0] != "b" {
		return part, false
	}
	if fields[0] == "b" {
		part.Side = relay.B
	}
	part.Role = relay.Role(fields[1])
	var errs [2]error
	part.Via, errs[0] = url.QueryUnescape(fields[2])
	part.Trace, errs[1] = url.QueryUnescape(fields[3])
	return part, errors.Join(errs[:]...) == nil
}

// keep has the parts of the link kept, and tells whether they are. The wire calls it on its loop.
func (l *link) keep(parts []relay.Part) bool {
	labels, descriptors := make([]string, len(parts)), make([]int, len(parts))
	for i, part := range parts {
		labels[i], descriptors[i] = label(part), part.FD
	}
	again := l.stash.Behind()
	err := l.stash.Keep(l.name(), labels, descriptors)
	if err != nil && !again {
		l.log().Warn("the link's peers would not survive the end of the hub", "error", err)
	}
	return err == nil
}

// takeTape takes the link's tape out of what was left.
func (l *link) takeTape() {
	if l.legacy == nil {
		return
	}
	l.legacy.parts = slices.DeleteFunc(l.legacy.parts, func(part relay.Part) bool {
		if part.Role != relay.RoleTape {
			return false
		}
		if err := l.watching.adopt(part.FD); err != nil {
			l.parts.log.Warn("the scrollback is lost", "link", l.config.Name, "error", err)
		}
		return true
	})
}

// takeOver makes the link what was left of it.
func (c *control) takeOver() error {
	left := c.legacy
	switch {
	case left != nil:
		defer c.adopted()
	case c.passed[relay.A] >= 0 || c.passed[relay.B] >= 0:
		left = &legacy{} // both sockets listen already, so they are to be taken in one step
	default:
		c.update(func(*Link) {}) // nothing is open yet
		return nil
	}
	estate := c.estate(left)
	estate.Lost = left.status != nil && left.status.Lost
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
		if listener := estate.Ends[side].Listener; listener != nil {
			c.watchOver(side, listener)
		}
		if resumed[side] != nil {
			c.watchPulse(side)
		}
		if resumed[side] != nil && estate.Ends[side].Closing {
			c.ends[side].closing = &closing{id: resumed[side].id, timer: time.NewTimer(drainTime)}
		}
	}
	c.update(func(s *Link) {
		came := false
		for side := range s.Ends {
			var was *Peer
			if left.status != nil {
				was = left.status.Ends[side].Peer
			}
			came = c.tellTurnover(relay.Side(side), was, resumed[side]) || came
			s.Ends[side].Peer = resumed[side]
			s.Ends[side].listening = c.ends[side].listener != nil
			if resumed[side] != nil && left.status == nil {
				c.counters[side].Connections.Add(1)
			}
		}
		if resumed[relay.A] != nil && resumed[relay.B] != nil && came {
			s.Sessions++
		}
		if left.status != nil {
			s.continues(left.status)
		}
	})
	return c.followAll(events)
}

// estate sorts what was left by end.
func (c *control) estate(left *legacy) (estate relay.Estate) {
	for side := range estate.Ends {
		estate.Ends[side].Buffer = -1
	}
	for _, part := range left.parts {
		if err := c.inherit(&estate.Ends[part.Side], part); err != nil {
			c.log().Warn("something that was left cannot be used", "end", part.Side.String(), "error", err)
		}
	}
	for _, side := range bothSides() {
		if end := &estate.Ends[side]; c.passed[side] >= 0 && end.Listener == nil {
			if listener, err := c.foreign(side); err == nil {
				end.Listener = listener
			}
		}
	}
	return estate
}

// foreign makes a listener of a copy of the socket that the service manager has passed.
func (c *control) foreign(side relay.Side) (endpoint.Listener, error) {
	fd, err := unix.FcntlInt(uintptr(c.passed[side]), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return c.parts.opener.AdoptForeign(fd, specOf(c.end(side)))
}

func (l *link) closePassed(side relay.Side) {
	if l.passed[side] >= 0 {
		unix.Close(l.passed[side]) // the service manager has it still
		l.passed[side] = -1
		l.parts.store.Unpass(fmt.Sprintf("%s.%s", l.name(), side))
	}
}

// openStash takes the stash that an earlier process has made for the link, or makes one.
func (l *link) openStash() {
	if l.legacy != nil && l.legacy.stash != nil {
		l.stash = l.legacy.stash
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
	dispose(l.legacy.parts)
	if was := l.legacy.status; was != nil {
		l.mu.Lock()
		for _, side := range bothSides() {
			l.tellTurnover(side, was.Ends[side].Peer, nil)
		}
		l.mu.Unlock()
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
	spec := specOf(c.end(part.Side))
	if part.Role == relay.RoleListener {
		if part.Trace == endpoint.ForeignTrace {
			unix.Close(part.FD) // the service manager has passed it again, or does not want it to be used any more
			return nil
		}
		listener, err := c.parts.opener.Adopt(part.FD, spec, part.Trace)
		if err != nil {
			return err
		}
		end.Listener = listener
		return listener.Adjust(spec)
	}
	if part.Role == relay.RoleBuffer {
		end.Buffer = part.FD
		return nil
	}
	peer, err := endpoint.AdoptPeer(part.FD, spec, part.Trace)
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
	case relay.RoleListener, relay.RoleBuffer, relay.RoleTape:
	}
	return nil
}

// dispose closes what no link wants any more, also where the service manager holds it.
func dispose(parts []relay.Part) {
	for _, part := range parts {
		switch part.Role {
		case relay.RoleListener:
			endpoint.Dispose(part.FD, part.Trace)
		case relay.RolePeer, relay.RoleClosing, relay.RoleQueued, relay.RoleLeft, relay.RoleBuffer, relay.RoleTape:
			endpoint.DisposePeer(part.FD)
		}
	}
}

// restore makes the counters what they were before the process was replaced. It tells whether the link had been stopped then, or given
// up, and is to rest.
func (l *link) restore(was *Link) (rests bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.status
	s.Sessions, s.Resets, s.Failures, s.Last = was.Sessions, was.Resets, was.Failures, was.Last
	for side, end := range was.Ends {
		c := &l.counters[side]
		c.Connections.Store(end.Connections)
		c.Rejected.Store(end.Rejected)
		c.Received.Store(end.Received)
		c.Sent.Store(end.Sent)
		c.Discarded.Store(end.Discarded)
	}
	if was.State == LinkFailed || was.State == LinkStopped && !was.Disabled {
		s.setState(was.State, was.Since)
		for side := range s.Ends {
			s.Ends[side].setState(EndClosed, was.Ends[side].Since)
		}
		return true
	}
	return false
}

// continues dates the states from before the process was replaced, where they are the same. The ends have been brought up to date.
func (l *Link) continues(was *Link) {
	for side := range l.Ends {
		if end := &l.Ends[side]; end.derive() == was.Ends[side].State {
			end.State, end.Since = was.Ends[side].State, was.Ends[side].Since
		}
	}
	if state := derive(l.Ends[relay.A].derive(), l.Ends[relay.B].derive()); state == was.State {
		l.State, l.Since = was.State, was.Since
	}
}

// runs tells whether a link ran although it was disabled, because it was started by a command. That is known only if the process was replaced.
func (l *legacy) runs() bool {
	return l != nil && l.status != nil && l.status.Disabled && l.status.State != LinkStopped && l.status.State != LinkFailed
}

// legacies finds what was left for each link of a config, and gives up what does not fit it, before any link opens anything.
func legacies(links []config.Link, past *Past, log *slog.Logger) map[string]*legacy {
	found := map[string]*legacy{}
	for i := range links {
		c := &links[i]
		left := &legacy{}
		for j := range past.Links {
			if past.Links[j].Name == c.Name {
				left.status = &past.Links[j]
			}
		}
		if before := takeLink(past.Left, c); before != nil && (!c.Disabled || left.runs()) {
			left.stash, left.parts = before.Stash, fitting(before, c)
		} else if before != nil {
			giveUp(c.Name, before, log)
		}
		if left.stash != nil || left.status != nil {
			found[c.Name] = left
		}
	}
	for name, link := range past.Left.Links {
		delete(past.Left.Links, name)
		giveUp(name, link, log)
	}
	return found
}

// takeLink takes out what was left of a link: under its name or, if it has been renamed, because all of it has come in by the ends that the link has.
func takeLink(left *continuity.Inheritance, c *config.Link) *continuity.Link {
	if link := left.Links[c.Name]; link != nil {
		delete(left.Links, c.Name)
		return link
	}
	for name, link := range left.Links {
		came, strange := [2]bool{}, false
		for _, part := range partsOf(link) {
			if fits(part, c) {
				came[part.Side] = came[part.Side] || part.Via != ""
			} else {
				strange = true
			}
		}
		if came == [2]bool{true, true} && !strange {
			delete(left.Links, name)
			return link
		}
	}
	return nil
}

// partsOf are the parts that were kept of a link.
func partsOf(link *continuity.Link) (parts []relay.Part) {
	for i, text := range link.Labels {
		part, ok := parseLabel(text)
		part.FD = link.FDs[i]
		if !ok {
			unix.Close(part.FD) // it is of another version
			continue
		}
		parts = append(parts, part)
	}
	return parts
}

// fits tells whether a part has come in by what the end is still.
func fits(part relay.Part, c *config.Link) bool {
	return part.Via == "" || part.Via == specOf(c.Ends()[part.Side]).Via()
}

// fitting are the parts that fit the ends still. The others are closed: their peers have come by a way that the end
// does not have any more.
func fitting(link *continuity.Link, c *config.Link) (stay []relay.Part) {
	var gone []relay.Part
	for _, part := range partsOf(link) {
		if fits(part, c) {
			stay = append(stay, part)
		} else {
			gone = append(gone, part)
		}
	}
	dispose(gone)
	return stay
}

// giveUp closes everything that was kept of a link.
func giveUp(name string, link *continuity.Link, log *slog.Logger) {
	log.Info("the config has no use for what was left of the link; its peers are closed", "link", name)
	dispose(partsOf(link))
	if err := link.Stash.Close(); err != nil {
		log.Warn("what was left of the link could not be closed", "link", name, "error", err)
	}
}

// takeSocket takes the socket that was passed for an end: by that name or, if it has another, because it is bound to the
// end's address. It returns -1 if there is none.
func takeSocket(left *continuity.Inheritance, name string, end endpoint.Spec) int {
	for _, byName := range []bool{true, false} {
		for i, file := range left.Sockets {
			if byName && file.Name == name && endpoint.Fits(file.FD, end) || !byName && endpoint.BoundTo(file.FD, end) {
				left.Sockets = append(left.Sockets[:i:i], left.Sockets[i+1:]...)
				return file.FD
			}
		}
	}
	return -1
}

// takePassed takes the sockets that the service manager has passed for a link's ends, also for one that does not run yet.
func (l *link) takePassed(past *Past) {
	for side, end := range l.config.Ends() {
		name := fmt.Sprintf("%s.%s", l.config.Name, relay.Side(side))
		if fd := takeSocket(past.Left, name, specOf(end)); fd >= 0 {
			l.passed[side] = fd
			past.Store.Pass(name, fd)
		}
	}
}
