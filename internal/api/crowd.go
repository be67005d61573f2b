package api

import (
	"container/list"
	"net"
	"sync"
)

// crowd are the connections that are open, of which there is a limit. Who comes when it is reached takes the place of the one that has been quiet for
// longest: that has made no request yet, was refused, or waits for its next request. So who dribbles, or says nothing, keeps nobody out.
type crowd struct {
	mu    sync.Mutex
	most  int
	open  int
	quiet list.List // of *connection, the one that has been so for longest first
}

// place is that of a connection in the crowd; mu guards it.
type place struct {
	quiet *list.Element // nil while it is busy
	left  bool
}

// reserved is for unix sockets alone, so that whoever is on this machine gets in whatever comes by the network.
const reserved = 16

// limit sets how many there may be. Those that are there stay.
func (c *crowd) limit(most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.most = most
}

// enter takes a connection in, which is quiet. It returns false if all others are busy.
func (c *crowd) enter(conn *connection) bool {
	c.mu.Lock()
	var shutOut net.Conn
	most := c.most
	if conn.listener.Network == "unix" {
		most += reserved
	}
	if c.open >= most {
		first := c.quiet.Front()
		if first == nil {
			c.mu.Unlock()
			return false
		}
		shutOut = c.remove(first.Value.(*connection)) // nothing else is in it
	}
	c.open++
	conn.place = place{quiet: c.quiet.PushBack(conn)}
	c.mu.Unlock()
	if shutOut != nil {
		shutOut.Close() //nolint:errcheck // nothing is asked of it any more
	}
	return true
}

// busy tells that a caller has been let in, who is not shut out then for somebody else.
func (c *crowd) busy(conn *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn.place.quiet != nil {
		c.quiet.Remove(conn.place.quiet)
		conn.place.quiet = nil
	}
}

// rest tells that a request has been answered.
func (c *crowd) rest(conn *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn.place.left {
		return
	}
	if conn.place.quiet != nil {
		c.quiet.Remove(conn.place.quiet)
	}
	conn.place.quiet = c.quiet.PushBack(conn)
}

// leave tells that a connection is closed.
func (c *crowd) leave(conn *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(conn)
}

// remove is called with mu locked.
func (c *crowd) remove(conn *connection) net.Conn {
	if conn.place.left {
		return conn
	}
	if conn.place.quiet != nil {
		c.quiet.Remove(conn.place.quiet)
	}
	conn.place = place{left: true}
	c.open--
	return conn
}
