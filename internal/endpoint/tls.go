package endpoint

import (
	"context"
	"errors"
)

// TLS is what an end with TLS needs beside its address. All of it is PEM, "" if it is not there.
type TLS struct {
	Cert, Key  string // of the hub; needed to listen
	CA         string // who may have signed the certificate of the other side: to listen, "" asks for none; to connect, "" takes the system's
	ServerName string // what the certificate of the other side has to be for; "" takes the host. To connect only
	MinVersion uint16 // as in crypto/tls; 0 for TLS 1.3
}

// bridges are the TLS connections that this process works for.
type bridges struct{}

func newBridges() *bridges { return &bridges{} }

func (o *Opener) bindTLS(Spec) (Listener, error) { return nil, errors.ErrUnsupported }

func (o *Opener) adoptTLS(int, Spec, bool) (Listener, error) { return nil, errors.ErrUnsupported }

func (o *Opener) dialTLS(context.Context, Spec) (Peer, error) { return Peer{}, errors.ErrUnsupported }
