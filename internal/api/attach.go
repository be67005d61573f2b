package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/coder/websocket"
	"github.com/labstack/echo/v4"
	"golang.org/x/sys/unix"

	"serialhub/internal/endpoint"
	"serialhub/internal/relay"
	"serialhub/internal/rest"
	"serialhub/internal/supervisor"
)

// AttachToLink makes the caller the peer of an end.
func (h *handlers) AttachToLink(c echo.Context, name string, params rest.AttachToLinkParams) error {
	side, err := sideNamed("end", params.End)
	if err != nil {
		return err
	}
	replace, err := flag("replace", params.Replace, false)
	if err != nil {
		return err
	}
	if !isWebSocket(c.Request()) {
		return needsWebSocket(c)
	}
	if full(c.Request().Context()) { // before somebody loses the end for it
		return tooManyStreams()
	}
	peer, err := h.hub.Attach(c.Request().Context(), name, side, caller(c.Request()), replace)
	switch {
	case errors.Is(err, supervisor.ErrNoLink):
		return err
	case errors.Is(err, supervisor.ErrBusy):
		return newProblem(rest.ProblemEndBusy, "%s; replace=true takes its place (serialhub attach --replace)", h.whoHas(name, side))
	case err != nil:
		return newProblem(rest.ProblemNotAttachable, "nobody can be attached: %s", err)
	}
	defer peer.Close()                                 //nolint:errcheck // a socketpair
	ctx, done, err := streaming(c.Request().Context()) // before the caller can know of it
	if err != nil {
		return err
	}
	defer done()
	conn, err := accept(c)
	if err != nil {
		return nil // the caller has been told
	}
	recorded(c, attached, nil)
	defer recorded(c, detached, nil)
	join(ctx, conn, peer, func() bool { return hasHungUp(c.Request()) })
	return nil
}

// whoHas says who is the peer of an end.
func (h *handlers) whoHas(name string, side relay.Side) string {
	text := fmt.Sprintf("end %s of link %s has a peer", side, name)
	link, err := h.hub.Link(name)
	if err != nil || link.Ends[side].Peer == nil {
		return text
	}
	var who []string
	for _, known := range []string{link.Ends[side].Peer.Command, link.Ends[side].Peer.VM, link.Ends[side].Peer.Address} {
		if known != "" {
			who = append(who, known)
		}
	}
	if pid := link.Ends[side].Peer.PID; pid != 0 {
		who = append(who, fmt.Sprintf("pid %d", pid))
	}
	return text + ": " + strings.Join(who, ", ")
}

// join carries bytes both ways until one side or the hub ends it, and closes both. What has been sent to the peer until then goes to the caller still.
func join(ctx context.Context, conn *websocket.Conn, peer *supervisor.Attached, gone func() bool) {
	longer, cancel := outlast(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		peer.CloseRead()  //nolint:errcheck // a socketpair, which takes no more from now on; what it has can be read
		peer.CloseWrite() //nolint:errcheck // a socketpair
	})()
	left := make(chan struct{})
	go func() {
		defer close(left)
		for {
			_, data, err := conn.Read(longer)
			if err == nil {
				err = pass(data, peer, gone)
			}
			if errors.Is(err, unix.EPIPE) {
				return // the hub has closed the peer; what it has said before is read still
			}
			if err != nil {
				peer.Close() //nolint:errcheck // a socketpair
				return
			}
		}
	}()
	_, err := io.Copy(&socketOutlet{longer, conn}, peer)
	peer.Close() //nolint:errcheck // a socketpair; nothing waits for it any more
	switch cause := context.Cause(ctx); {
	case cause != nil:
		closeSocket(conn, websocket.StatusGoingAway, cause.Error())
	case err == nil:
		reason := "the hub has closed the connection"
		if why := peer.Why(); why != nil {
			reason += ": " + why.Error()
		}
		closeSocket(conn, websocket.StatusGoingAway, reason)
	}
	conn.CloseNow() //nolint:errcheck // if it is not closed yet
	<-left
}

// lookTime is how often it is looked whether a client is there still whose bytes nobody takes.
const lookTime = 500 * time.Millisecond

// pass writes what a client has said to its peer. The client is not read meanwhile; so if nothing is taken for a while, its connection is looked at.
func pass(data []byte, peer net.Conn, gone func() bool) error {
	for len(data) > 0 {
		if err := peer.SetWriteDeadline(time.Now().Add(lookTime)); err != nil {
			return err
		}
		n, err := peer.Write(data)
		data = data[n:]
		if err != nil && (!errors.Is(err, os.ErrDeadlineExceeded) || n == 0 && gone()) {
			return err
		}
	}
	return nil
}

// hasHungUp tells whether a client has closed its connection, also if not all that it has sent before has been read.
func hasHungUp(r *http.Request) (hungUp bool) {
	conn, ok := r.Context().Value(connKey{}).(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(poll, 0)
		hungUp = err == nil && n > 0
	})
	return hungUp || err != nil
}

// caller is who makes a request: a process on this machine, or an address.
func caller(r *http.Request) endpoint.Credentials {
	conn, ok := r.Context().Value(connKey{}).(syscall.Conn)
	if !ok {
		return endpoint.Credentials{Address: r.RemoteAddr}
	}
	who, err := credentials(conn)
	if err != nil || who.PID == 0 {
		who = endpoint.Credentials{Address: r.RemoteAddr}
	}
	return who
}

// credentials are those of the process that has connected to a unix socket; its PID is 0 if it is not visible from here.
func credentials(conn syscall.Conn) (who endpoint.Credentials, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return who, err
	}
	var cred *unix.Ucred
	outer := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(outer, err); err != nil {
		return who, err
	}
	return endpoint.Credentials{PID: int(cred.Pid), UID: int(cred.Uid), GID: int(cred.Gid)}, nil
}

// connKey is under which a request has its *connection.
type connKey struct{}
