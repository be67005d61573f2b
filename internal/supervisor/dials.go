package supervisor

import (
	"context"
	"sync"
	"time"
)

// dialsTime is how long a process that is about to be replaced waits for dials under way. Who answers does so within that, but for one on a network.
const dialsTime = 100 * time.Millisecond

// dials counts the dials of all links, so that none has made a connection that nobody has taken when the process is replaced: whoever is at the other
// side would lose it. Its methods are safe to call from any goroutine.
type dials struct {
	mu       sync.Mutex
	underWay int
	held     chan struct{} // closed when dials may begin again; nil while they may
	none     chan struct{} // closed once none is under way; nil if nobody waits for that
}

// begin waits until a dial may begin, and counts it until end is called; it returns false if ctx ends first.
func (d *dials) begin(ctx context.Context) bool {
	for {
		d.mu.Lock()
		held := d.held
		if held == nil {
			d.underWay++
		}
		d.mu.Unlock()
		if held == nil {
			return true
		}
		select {
		case <-held:
		case <-ctx.Done():
			return false
		}
	}
}

// end is called once what came of a dial has been taken, or dropped.
func (d *dials) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.underWay--; d.underWay == 0 && d.none != nil {
		close(d.none)
		d.none = nil
	}
}

// hold lets no dial begin until release is called, and waits for those under way, for dialsTime at most.
func (d *dials) hold() (release func()) {
	d.mu.Lock()
	held := make(chan struct{})
	d.held = held
	var none chan struct{}
	if d.underWay > 0 {
		none = make(chan struct{})
		d.none = none
	}
	d.mu.Unlock()
	if none != nil {
		select {
		case <-none:
		case <-time.After(dialsTime):
		}
	}
	return func() {
		d.mu.Lock()
		d.held, d.none = nil, nil
		d.mu.Unlock()
		close(held)
	}
}
