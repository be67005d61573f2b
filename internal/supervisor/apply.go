package supervisor

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"

	"serialhub/internal/address"
	"serialhub/internal/config"
	"serialhub/internal/endpoint"
	"serialhub/internal/relay"
)

// Apply makes the links what next says, and tells what that changed. New sockets are opened before anything that runs
// is touched; one that cannot be opened is tried again later, as at the start. Links that did not change are left
// alone. It keeps next, which may not be changed any more. It waits for links that are gone to deliver what was sent, and returns ErrStopping once the hub stops.
func (s *Supervisor) Apply(next []config.Link) (config.Changes, error) {
	select {
	case <-s.started:
	case <-s.ctx.Done():
	}
	s.applying.Lock()
	defer s.applying.Unlock()
	if s.ctx.Err() != nil {
		return config.Changes{}, ErrStopping
	}
	old := make([]config.Link, len(s.links))
	for i, l := range s.links {
		old[i] = *s.configs[l]
	}
	changes := config.Diff(old, next)
	byName := maps.Clone(s.names)
	for name, was := range changes.Renamed {
		byName[name] = byName[was]
		delete(byName, was)
	}
	plan := s.plan(next, byName)
	plan.open(s.parts)
	plan.release()

	links := make([]*link, len(next))
	var fresh []*link
	for i := range next {
		c := &next[i]
		l := byName[c.Name]
		switch {
		case l == nil:
			l = newLink(c, s.parts, plan.ready[c.Name], nil)
			fresh = append(fresh, l)
		case !s.configs[l].Equal(*c):
			cmd := newCommand(update)
			cmd.next, cmd.ready = c, plan.ready[c.Name]
			l.send(cmd)
		}
		links[i] = l
	}
	s.publish(links, next)
	s.tellChanges(changes) // who hears of it finds it so; and of what a link does he hears after that there is one
	for _, l := range fresh {
		go l.run()
	}
	s.reopenTranscripts()
	return changes, nil
}

// plan is what has to happen to sockets before the links can become what they shall be.
type plan struct {
	gone  []*link                         // links that shall not be any more
	give  map[*link][]relay.Side          // ends whose address another end is to have
	fresh map[string][2]*endpoint.Spec    // by link, what listens at addresses that nobody of this hub has
	ready map[string][2]endpoint.Listener // those of them that could be opened
}

// holder is an end of a link that runs.
type holder struct {
	link *link
	side relay.Side
}

// claim is what only one end can have: a path, or a port, whatever speaks there. At some addresses of the machine a port may be free while it is taken at
// others; who leaves it is asked to do so first in any case.
func claim(a address.Address) string {
	switch a.Kind() {
	case address.TCP, address.TLS:
		_, port := a.HostPort()
		return "port " + port
	case address.VSock:
		_, port := a.ContextPort()
		return fmt.Sprint("vsock ", port)
	default:
		return cmp.Or(a.Path(), a.String())
	}
}

func (s *Supervisor) plan(next []config.Link, byName map[string]*link) *plan {
	p := &plan{give: map[*link][]relay.Side{}, fresh: map[string][2]*endpoint.Spec{}, ready: map[string][2]endpoint.Listener{}}
	becomes := map[*link]*config.Link{}
	for i, c := range next {
		if l := byName[c.Name]; l != nil {
			becomes[l] = &next[i]
		}
	}
	leaving := map[string][]holder{} // ends that will not have any more what they have
	for _, l := range s.links {
		if becomes[l] == nil {
			p.gone = append(p.gone, l)
		}
		for side, end := range s.configs[l].Ends() {
			if c := becomes[l]; c == nil || specOf(c.Ends()[side]).Via() != specOf(end).Via() {
				leaving[claim(end.Address)] = append(leaving[claim(end.Address)], holder{l, relay.Side(side)})
			}
		}
	}
	for _, c := range next {
		l := byName[c.Name]
		var fresh [2]*endpoint.Spec
		for side, end := range c.Ends() {
			spec := specOf(end)
			if l != nil && specOf(s.configs[l].Ends()[side]).Via() == spec.Via() {
				continue // it has that already
			}
			before := slices.DeleteFunc(slices.Clone(leaving[claim(end.Address)]), func(h holder) bool { return h == holder{l, relay.Side(side)} })
			for _, h := range before {
				if becomes[h.link] != nil && !slices.Contains(p.give[h.link], h.side) {
					p.give[h.link] = append(p.give[h.link], h.side)
				}
			}
			if len(before) == 0 && !c.Disabled && !spec.Dials() {
				fresh[side] = &spec
			}
		}
		p.fresh[c.Name] = fresh
	}
	return p
}

// open opens the fresh sockets. A failure is left to the link, which will see it again, and say so.
func (p *plan) open(parts parts) {
	for name, specs := range p.fresh {
		ready := p.ready[name]
		for side, spec := range specs {
			if spec != nil {
				if listener, err := parts.bind(*spec); err == nil {
					ready[side] = listener
				}
			}
		}
		p.ready[name] = ready
	}
}

// release ends the links that are gone, all at once, and takes from the others what is another's now.
func (p *plan) release() {
	var wait sync.WaitGroup
	for _, l := range p.gone {
		wait.Go(func() {
			close(l.quit)
			<-l.ended
		})
	}
	for l, sides := range p.give {
		l.send(newCommand(release, sides...))
	}
	wait.Wait()
}

// send has the link carry out a command of the hub's own, and waits until it has.
func (l *link) send(cmd *command) {
	select {
	case l.commands <- cmd:
		<-cmd.done
	case <-l.ended:
	}
}
