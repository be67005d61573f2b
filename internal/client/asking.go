package client

import (
	"net"
	"sync"
)

// asking is a connection of which nothing is read before something has been written. http.Transport would complain on the standard error of
// somebody who speaks without being asked, as who is at the end of a link may, and say nothing of use itself.
type asking struct {
	net.Conn
	asked   chan struct{} // closed when something is written, or it is closed
	release func()
}

func newAsking(conn net.Conn) *asking {
	asked := make(chan struct{})
	return &asking{conn, asked, sync.OnceFunc(func() { close(asked) })}
}

func (a *asking) Read(p []byte) (int, error) {
	<-a.asked
	return a.Conn.Read(p)
}

func (a *asking) Write(p []byte) (int, error) {
	a.release()
	return a.Conn.Write(p)
}

func (a *asking) Close() error {
	a.release()
	return a.Conn.Close()
}
