package supervisor

import (
	"errors"
	"strings"

	"serialhub/internal/config"
	"serialhub/internal/events"
	"serialhub/internal/relay"
)

// This file is what is published of the links.

// Why peers have left of whom the wire has not told that.
var (
	errClosed   = errors.New("the link has ended")
	errUpgraded = errors.New("the connection was lost when the hub was upgraded")
)

// peerEvent is what has become of a peer, and why; nil if there is nothing to be said of that.
func peerEvent(what events.Type, side relay.Side, p Peer, why error) events.Event {
	e := events.Event{Type: what, End: side.String(), Peer: &events.Peer{
		PID: p.PID, UID: p.UID, GID: p.GID, Command: p.Command, VM: p.VM, Address: p.Address, Subject: p.Subject,
	}}
	if why != nil {
		e.Reason = brief(why.Error())
	}
	return e
}

// longest is how many bytes are kept of a text that somebody else has made, or a part of it. A program can call itself by some megabytes.
const longest = 1 << 10

// brief is a text, or its beginning if it is too long.
func brief(text string) string {
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:longest], "") + "…" // a copy, so that the rest is not kept
}

// resetEvent is a reset of some ends.
func resetEvent(sides []relay.Side) events.Event {
	e := events.Event{Type: events.Reset}
	if len(sides) == 1 {
		e.End = sides[0].String()
	}
	return e
}

// tell publishes an event of the link. The caller holds mu.
func (l *link) tell(e events.Event) {
	e.Link = l.status.Name
	l.parts.events.Publish(e)
}

// tellAside publishes an event of the link that its status does not show. The caller does not hold mu.
func (l *link) tellAside(e events.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tell(e)
}

// tellState publishes the state of the link, if it is another one than was told. The caller holds mu.
func (l *link) tellState() {
	if l.status.State == l.told {
		return
	}
	l.tell(events.Event{At: l.status.Since, Type: events.State, State: string(l.status.State), Previous: string(l.told)})
	l.told = l.status.State
}

// tellTurnover publishes who has left an end, and who has come to it, while the process was replaced. It tells whether somebody has come. The caller holds mu.
func (l *link) tellTurnover(side relay.Side, was, is *Peer) (came bool) {
	if was != nil && is != nil && was.PID == is.PID && was.Address == is.Address {
		return false
	}
	if was != nil {
		l.tell(peerEvent(events.Left, side, *was, errUpgraded))
	}
	if is != nil {
		l.tell(peerEvent(events.Connected, side, *is, nil))
	}
	return is != nil
}

// tellOf publishes that the config has a link, has it no more, or says something else of it.
func (s *Supervisor) tellOf(what events.Type, name string) {
	s.parts.events.Publish(events.Event{Type: what, Link: name})
}

// tellChanges publishes what has become of the links by a config.
func (s *Supervisor) tellChanges(changes config.Changes) {
	for _, of := range []struct {
		what  events.Type
		names []string
	}{{events.LinkRemoved, changes.Removed}, {events.LinkAdded, changes.Added}, {events.LinkChanged, changes.Changed}} {
		for _, name := range of.names {
			s.tellOf(of.what, name)
		}
	}
}

// tellMoved publishes which links have gone and come while the process was replaced. None of them runs yet.
func (s *Supervisor) tellMoved(before []Link) {
	if before == nil {
		return
	}
	had := map[string]bool{}
	for _, link := range before {
		had[link.Name] = true
		if s.names[link.Name] != nil {
			continue
		}
		for _, side := range bothSides() {
			if peer := link.Ends[side].Peer; peer != nil {
				e := peerEvent(events.Left, side, *peer, errUpgraded)
				e.Link = link.Name
				s.parts.events.Publish(e)
			}
		}
		s.tellOf(events.LinkRemoved, link.Name)
	}
	for _, l := range s.links {
		if name := l.name(); !had[name] {
			s.tellOf(events.LinkAdded, name)
		}
	}
}
