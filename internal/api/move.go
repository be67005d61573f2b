package api

import (
	"fmt"
	"net"

	"serialhub/internal/config"
)

// Move serves the addresses from now on, and no others, on other terms. If one cannot be opened, it returns an error and everything is
// as it was. Connections stay; each of their requests is judged by the terms of its time, and a stream ends whose caller would not be let in any more.
func (f *Front) Move(c config.API) error {
	next, err := newTerms(c)
	if err != nil {
		return err
	}
	away := f.makeWay(next.listeners)
	opened, err := f.open(c.Listen)
	if err == nil {
		err = f.adjust(c.Listen)
	}
	if err != nil {
		for _, listener := range opened {
			closeListener(listener, f.log)
		}
		f.openAgain(away)
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	next.warn(c, f.log)
	if was := f.terms.Swap(next); !was.keys.Equal(next.keys) {
		f.log.Info("the API takes other tokens", "file", c.TokenFile, "tokens", len(c.Tokens))
	}
	for addr := range f.listeners {
		if _, stays := next.listeners[addr]; !stays {
			f.leave(addr)
		}
	}
	f.take(opened)
	f.gate.streams.endRevoked()
	return nil
}

// makeWay closes those that are not in next, but whose ports are: the kernel does not let one program listen at a port of all addresses and another, be it the
// same, at that port of one of them.
func (f *Front) makeWay(next map[config.APIAddress]config.APIListener) (away []config.APIListener) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ports := map[string]bool{}
	for addr := range next {
		if f.listeners[addr] == nil && addr.Network != "unix" {
			ports[portOf(addr)] = true
		}
	}
	now := f.terms.Load()
	for addr := range f.listeners {
		if _, stays := next[addr]; !stays && ports[portOf(addr)] {
			f.leave(addr)
			away = append(away, now.listeners[addr])
		}
	}
	return away
}

// portOf is the port of an address; "" if it has none.
func portOf(addr config.APIAddress) string {
	if addr.Network == "unix" {
		return ""
	}
	_, port, _ := net.SplitHostPort(addr.Address)
	return port
}

// leave closes a listener. It is called with mu locked.
func (f *Front) leave(addr config.APIAddress) {
	f.log.Info("the API does not answer any more", "address", addr.String())
	closeListener(f.listeners[addr], f.log)
	delete(f.listeners, addr)
}

// openAgain opens those that have made way for nothing.
func (f *Front) openAgain(away []config.APIListener) {
	opened, err := f.open(away)
	if err != nil {
		f.log.Error("the API has lost an address for one that it cannot have; mend api.listen and reload", "error", err)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.take(opened)
}

// take serves listeners from now on. It is called with mu locked.
func (f *Front) take(opened map[config.APIAddress]net.Listener) {
	for addr, listener := range opened {
		f.listeners[addr] = listener
		if f.running {
			f.serve(addr, listener)
		}
	}
}

// adjust gives the files of unix sockets that are open already their modes and owners: all of them or, with an error, none.
func (f *Front) adjust(next []config.APIListener) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var done []config.APIListener
	for _, l := range next {
		listener, isUnix := f.listeners[l.APIAddress].(*unixListener)
		was := f.terms.Load().listeners[l.APIAddress]
		if !isUnix || l.Mode == was.Mode && l.Owner == was.Owner && l.Group == was.Group {
			continue
		}
		spec, err := specOf(l)
		if err == nil {
			err = listener.owner.Adjust(spec)
		}
		if err == nil {
			done = append(done, was)
			continue
		}
		for _, was := range done {
			if spec, err := specOf(was); err == nil {
				f.listeners[was.APIAddress].(*unixListener).owner.Adjust(spec) //nolint:errcheck // it could be done before
			}
		}
		return fmt.Errorf("the API cannot change %s: %w", l, err)
	}
	return nil
}
