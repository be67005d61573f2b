package main

import (
	"crypto/tls"
	"io"
	"net"
	"time"
)

// port is where a client reads and writes a link: a descriptor, or TLS over it. Write writes all.
type port struct {
	io.ReadWriteCloser
	fd int
}

// secure makes a port of a descriptor that carries TLS. The server is who has accepted.
func secure(fd int, config *tls.Config, server bool) (port, error) {
	role := tls.Client
	if server {
		role = tls.Server
	}
	conn := role(blocking{descriptor: descriptor(fd)}, config)
	return port{conn, fd}, conn.Handshake()
}

// blocking is as much of a net.Conn as crypto/tls needs: it sets a deadline only for its farewell.
type blocking struct {
	net.Conn
	descriptor descriptor
}

func (b blocking) Read(data []byte) (int, error)    { return b.descriptor.Read(data) }
func (b blocking) Write(data []byte) (int, error)   { return b.descriptor.Write(data) }
func (b blocking) Close() error                     { return b.descriptor.Close() }
func (b blocking) SetWriteDeadline(time.Time) error { return nil }
