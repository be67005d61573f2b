package main

import (
	"net/rpc"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// clientCommand makes this program a client: it does what it is told by RPC over stdin and stdout.
const clientCommand = "client"

// inherited is the first of the descriptors that a client gets from the one that starts it.
const inherited = 3

// The last byte of a stream differs from all others. So a receiver knows when all has arrived, however the bytes before
// were cut, and has to be told neither the time nor the amount beforehand.
const (
	more = 0
	last = 1
)

// Client is one side of all links: one socket for each. Its methods block, like a simple program would.
type Client struct {
	fds []int // owned
}

// Work is what a client is told. Each method says which of it counts.
type Work struct {
	Addresses []string
	Size      int           // bytes of a message
	For       time.Duration // how long
	Count     int           // how often
}

// Result is what a client has done.
type Result struct {
	Began, Ended int64   // as now tells, which is the same clock in all processes
	Bytes        []int64 // by link
	Count        int     // of messages, or of round trips
	P50, P99     time.Duration
	Longest      time.Duration
	Moments      []int64 // as now tells
}

// serveClient does what it is told until stdin ends.
func serveClient() {
	debug.SetGCPercent(-1) // a client lives for seconds; nothing shall interrupt it
	runtime.GOMAXPROCS(8)  // each call of read and write keeps one, see rawRead
	server := rpc.NewServer()
	if err := server.RegisterName("Client", &Client{}); err != nil {
		panic(err) // only a bug can cause it
	}
	server.ServeConn(pipes{os.Stdin, os.Stdout})
}

// Connect makes one socket for each of Addresses; without any, it takes the Count sockets that were inherited. Who
// listens there may be late: it is tried again, until this process is ended.
func (c *Client) Connect(w Work, _ *Result) error {
	for _, address := range w.Addresses {
		fd, err := connect(address)
		if err != nil {
			return err
		}
		c.fds = append(c.fds, fd)
	}
	if len(w.Addresses) == 0 {
		for i := range w.Count {
			c.fds = append(c.fds, inherited+i)
		}
	}
	return nil
}

// HangUp closes all sockets.
func (c *Client) HangUp(Work, *Result) error {
	for _, fd := range c.fds {
		unix.Close(fd)
	}
	c.fds = nil
	return nil
}
