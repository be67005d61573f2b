package main

import (
	"errors"
	"net/rpc"
	"os"
	"runtime"
	"runtime/debug"
	"time"
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

// Client is one side of all links: one port for each. Its methods block, like a simple program would.
type Client struct {
	ports []port // owned
}

// Work is what a client is told. Each method says which of it counts.
type Work struct {
	Medium    medium
	Addresses []string
	TLS       string        // the file with the certificate and its key, if the ports have TLS
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
	server, c := rpc.NewServer(), &Client{}
	if err := server.RegisterName("Client", c); err != nil {
		panic(err) // only a bug can cause it
	}
	server.ServeConn(pipes{os.Stdin, os.Stdout})
	c.HangUp(Work{}, nil) //nolint:errcheck // who is at the other end may be gone already
}

// Connect goes to each of Addresses; without any, it waits for who comes to the Count places that were inherited. Who
// makes a place may be late: it is tried again, until this process is ended.
func (c *Client) Connect(w Work, _ *Result) error {
	for _, address := range w.Addresses {
		fd, err := w.Medium.join(address)
		if err != nil {
			return err
		}
		if err := c.add(fd, w.TLS, false); err != nil {
			return err
		}
	}
	if len(w.Addresses) > 0 {
		return nil
	}
	for i := range w.Count {
		fd, err := w.Medium.meet(inherited + i)
		if err != nil {
			return err
		}
		if err := c.add(fd, w.TLS, true); err != nil {
			return err
		}
	}
	return nil
}

// add makes a port of a descriptor; with TLS if a file is given.
func (c *Client) add(fd int, file string, server bool) error {
	if file == "" {
		c.ports = append(c.ports, port{descriptor(fd), fd})
		return nil
	}
	config, err := configOf(file)
	if err != nil {
		return err
	}
	p, err := secure(fd, config, server)
	c.ports = append(c.ports, p)
	return err
}

// HangUp closes all ports.
func (c *Client) HangUp(Work, *Result) error {
	var failures []error
	for _, p := range c.ports {
		failures = append(failures, p.Close())
	}
	c.ports = nil
	return errors.Join(failures...)
}
