package api

import (
	"context"
	"log"
	"net"
	"net/http"
	"time"
)

// MostConnections is how many there are to the API at once, at most. Half of them may be streams.
const MostConnections = 512

// DescriptorsPerConnection is how many a connection takes: its own and, of one who is attached, both of a pair.
const DescriptorsPerConnection = 2

// Limit sets how many connections there may be.
func (f *Front) Limit(connections int) {
	f.crowd.limit(connections)
	f.gate.streams.limit(connections / 2)
}

// newServer makes an http.Server for handler. Its limits keep a client that sends or reads slowly from staying for ever.
func (f *Front) newServer(handler http.Handler) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true) // alone: a stream of HTTP/2 cannot become a WebSocket as one of HTTP/1.1 does
	server := &http.Server{
		Handler:           handler,
		Protocols:         &protocols,
		ReadHeaderTimeout: 5 * time.Second, // and for the handshake of TLS
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    12 << 10, // and net/http allows for 4 KiB more
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, connectionOf(conn))
		},
		ConnState: func(conn net.Conn, state http.ConnState) {
			if state == http.StateIdle {
				f.crowd.rest(connectionOf(conn))
			}
		},
		ErrorLog: log.New(serverLog{f.log, newSeldom(1)}, "", 0),
	}
	server.DisableGeneralOptionsHandler = true // it would answer OPTIONS * to anybody
	return server
}
