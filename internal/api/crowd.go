package api

import (
	"container/list"
	"net"
	"sync"
)

// crowd are the connections that are open, of which there is a limit. Who comes when it is reached takes the place of the one that has been quiet for
// longest: that has made no request yet, was refused, or waits for its next request. So who dribbles, or says nothing, keeps nobody out. Who comes by
// the network never takes the place of one at a unix socket.
type crowd struct {
	mu    sync.Mutex
	most  int
	open  int
	far   list.List // those by the network that are quiet: of *connection, the one that has been so for longest first
	local list.List // likewise, by unix sockets
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
	most, local := c.most, conn.listener.Network == "unix"
	if local {
		most += reserved
	}
	if c.open >= most {
		first := c.far.Front()
		if first == nil && local {
			first = c.local.Front()
		}
		if first == nil {
			c.mu.Unlock()
			return false
		}
		shutOut = c.remove(first.Value.(*connection)) // nothing else is in it
	}
	c.open++
	conn.place = place{}
	c.hush(conn)
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
	c.rouse(conn)
}

// rest tells that a request has been answered.
func (c *crowd) rest(conn *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn.place.left {
		return
	}
	c.rouse(conn)
	c.hush(conn)
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
	c.rouse(conn)
	conn.place = place{left: true}
	c.open--
	return conn
}

// hush puts a connection behind those that are quiet. It is called with mu locked.
func (c *crowd) hush(conn *connection) { conn.place.quiet = c.among(conn).PushBack(conn) }

// rouse takes a connection out of those that are quiet, if it is. It is called with mu locked.
func (c *crowd) rouse(conn *connection) {
	if conn.place.quiet != nil {
		c.among(conn).Remove(conn.place.quiet)
		conn.place.quiet = nil
	}
}

// among are those that a connection belongs to while it is quiet.
func (c *crowd) among(conn *connection) *list.List {
	if conn.listener.Network == "unix" {
		return &c.local
	}
	return &c.far
}
