// Package endpoint is where peers come from: it opens the addresses of a link's ends. Each kind of address has a file.
package endpoint

import (
	"context"
	"errors"
	"fmt"
	"time"

	"serialhub/internal/address"
)

// Spec says where the peers of an end come from, and how. Specs are comparable.
type Spec struct {
	Address      address.Address
	Connects     bool          // the hub dials; else it listens. It means nothing for a pseudo-terminal or a device
	Mode         uint32        // permission bits of the socket's file, or of the pseudo-terminal
	Owner, Group string        // of that file, each a name or a number; "" for the hub's own
	KeepAlive    time.Duration // within which a dead peer of TCP or TLS is found
	TLS          TLS
	Serial       Serial
}

// Via names the way that peers come in by. Peers do not stay when the end gets another.
func (s Spec) Via() string {
	if s.Connects {
		return "connect " + s.Address.String()
	}
	return s.Address.String()
}

// Dials tells whether the peer is fetched, by Dial, rather than waited for.
func (s Spec) Dials() bool { return s.Connects || s.Address.Kind() == address.Device }

// ErrNoPeer says that nobody is waiting to be accepted.
var ErrNoPeer = errors.New("nobody is waiting to be accepted")

// Listener is an end to which peers come. It owns its descriptors, and its file if it has one. Via, FD, Kept, Waiting and Accept may be called on one
// goroutine, the loop's, while whoever has opened it calls Adjust, or Listen again, on another.
type Listener interface {
	Listen() error         // lets peers come from now on
	FD() int               // to be polled: is readable when somebody may have come. It stays the Listener's
	Waiting() bool         // somebody has come and is not accepted yet
	Accept() (Peer, error) // the next who has come. It never blocks: without one it returns ErrNoPeer, and a *RefusedError for one who could not be let in
	Via() string           // as Spec.Via says it
	Adjust(Spec) error     // takes over what differs in the spec of the same address; whoever is connected stays
	Kept() (int, string)   // the descriptor that has to outlive the process, and what the next one has to know of it, for Adopt
	Close() error          // closes it, and removes its file unless another has taken its place
	keptFile() (string, fileID)
}

// RefusedError says why a peer that has come could not be let in. It is nothing that is wrong with the Listener.
type RefusedError struct {
	Peer Credentials
	Err  error
}

func (e *RefusedError) Error() string { return e.Err.Error() }
func (e *RefusedError) Unwrap() error { return e.Err }

// Opener opens ends, and has what they share. All methods are safe to call from any goroutine. The zero Opener opens unix, TCP and vsock sockets.
type Opener struct {
	notices *Notices
	bridges *bridges
}

// NewOpener makes an Opener for every kind of end, which is told of files by notices.
func NewOpener(notices *Notices) *Opener {
	return &Opener{notices: notices, bridges: newBridges()}
}

// Bind opens an end to which peers come; nobody can come before Listen.
func (o *Opener) Bind(s Spec) (Listener, error) {
	switch s.Address.Kind() {
	case address.Unix:
		return bindUnix(s)
	case address.TCP:
		return bindTCP(s)
	case address.TLS:
		return o.bindTLS(s)
	case address.VSock:
		return bindVSock(s)
	case address.PTY:
		return o.openPTY(s)
	default:
		return nil, fmt.Errorf("%s cannot be listened on", s.Address)
	}
}

// Dial fetches the peer of an end. It blocks until then, or until ctx ends.
func (o *Opener) Dial(ctx context.Context, s Spec) (Peer, error) {
	switch s.Address.Kind() {
	case address.Unix:
		return dialUnix(ctx, s)
	case address.TCP:
		return dialTCP(ctx, s)
	case address.TLS:
		return o.dialTLS(ctx, s)
	case address.VSock:
		return dialVSock(ctx, s)
	case address.Device:
		return openDevice(s)
	default:
		return Peer{}, fmt.Errorf("%s cannot be connected to", s.Address)
	}
}
