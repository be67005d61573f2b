package api

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"serialhub/internal/access"
	"serialhub/internal/config"
	"serialhub/internal/endpoint"
	"serialhub/internal/rest"
)

// connection is one with a client, from accept until it is closed. With TLS it is below that.
type connection struct {
	net.Conn
	front    *Front
	listener config.APIListener // by which it came in
	place    place              // in the crowd
	close    func() error
	signed   atomic.Pointer[terms]    // for which its certificate has been looked at, and will do
	process  func() endpoint.Identity // at the other side of a unix socket
}

func newConnection(conn net.Conn, front *Front, listener config.APIListener) *connection {
	c := &connection{Conn: conn, front: front, listener: listener}
	c.close = sync.OnceValue(func() error {
		front.crowd.leave(c)
		return conn.Close()
	})
	c.process = sync.OnceValue(func() endpoint.Identity {
		cred, _ := credentials(c)
		return endpoint.Identify(cred.PID)
	})
	return c
}

// Close closes the connection. It may be called more than once, from any goroutine.
func (c *connection) Close() error { return c.close() }

// SyscallConn gives the socket.
func (c *connection) SyscallConn() (syscall.RawConn, error) {
	conn, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return conn.SyscallConn()
}

// connectionOf finds the connection that http.Server knows by another name.
func connectionOf(conn net.Conn) *connection {
	if over, ok := conn.(*tls.Conn); ok {
		conn = over.NetConn()
	}
	c, _ := conn.(*connection)
	return c
}

// admit says who makes a request, by the terms of now. The error is a *problem for one who may not come in; of the caller as much is known as the log
// should tell.
func (c *connection) admit(r *http.Request) (access.Caller, error) {
	now := c.front.terms.Load()
	if c.listener.Network == "unix" {
		return c.admitLocal(now)
	}
	caller := access.Caller{Who: "anonymous", From: r.RemoteAddr, Role: access.Admin}
	if now.tls != nil && r.TLS == nil {
		return caller, newProblem(rest.ProblemForbidden, "this address speaks TLS now; connect again, with https://")
	}
	if c.signed.Load() != now {
		if !now.signed(r.TLS) {
			return caller, newProblem(rest.ProblemForbidden, "the hub wants another certificate now than the one that this connection has begun with; connect again, with one that is signed by its client_ca")
		}
		c.signed.Store(now)
	}
	if !now.guarded && now.authorities == nil && !c.isLocal() { // whatever the config was when it came in
		return caller, newProblem(rest.ProblemForbidden, "without tokens and certificates this hub answers at loopback addresses only, and this connection is not to one")
	}
	var who []string
	if now.authorities != nil {
		who = append(who, r.TLS.PeerCertificates[0].Subject.String())
	}
	if now.guarded {
		token, err := now.token(r.Header)
		if err != nil {
			caller.Who = strings.Join(append(who, "unknown"), ", ")
			return caller, err
		}
		who, caller.Role = append([]string{token.String()}, who...), token.Role
	}
	if len(who) > 0 {
		caller.Who = strings.Join(who, ", ")
	}
	return caller, nil
}

// isLocal tells whether it is to an address that only this machine reaches.
func (c *connection) isLocal() bool {
	to, ok := c.LocalAddr().(*net.TCPAddr)
	return ok && to.IP.IsLoopback()
}

// token finds the token that a request shows.
func (t *terms) token(header http.Header) (access.Token, error) {
	shown := header.Values("Authorization")
	if len(shown) == 0 {
		return access.Token{}, unauthorized("", "this hub wants a token: serialhub --token-file FILE, or the header “Authorization: Bearer TOKEN”")
	}
	scheme, secret, _ := strings.Cut(shown[0], " ")
	if len(shown) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return access.Token{}, unauthorized("invalid_request", "this hub wants one header “Authorization: Bearer TOKEN”")
	}
	token, known := t.keys.Find(strings.TrimSpace(secret))
	if !known {
		return access.Token{}, unauthorized("invalid_token", "the hub does not know this token; its api.token_file has those that it knows, and is read again by a reload")
	}
	return token, nil
}

// admitLocal says who is at the other side of a unix socket. A token is not asked for: the file's mode has let him in.
func (c *connection) admitLocal(now *terms) (access.Caller, error) {
	listener, listens := now.listeners[c.listener.APIAddress]
	if !listens {
		listener = c.listener // it was open when the client came
	}
	cred, err := credentials(c)
	if err != nil {
		return access.Caller{Who: "unknown"}, newProblem(rest.ProblemForbidden, "the kernel does not tell who you are: %s", err)
	}
	caller := access.Caller{Who: fmt.Sprintf("uid %d", cred.UID), From: fmt.Sprintf("pid %d, uid %d", cred.PID, cred.UID), Role: access.Admin}
	if command := c.process().Command; command != "" {
		caller.From = fmt.Sprintf("%s, %s", command, caller.From)
	}
	if len(listener.AllowUIDs) > 0 && !slices.Contains(listener.AllowUIDs, cred.UID) {
		return caller, newProblem(rest.ProblemForbidden, "uid %d may not call this hub; allow_uids at %s has those that may", cred.UID, listener)
	}
	return caller, nil
}
