package endpoint

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// handshakeTime is how long a TLS handshake may take.
const handshakeTime = 10 * time.Second

// TLS is what an end with TLS needs beside its address. All of it is PEM, "" if it is not there.
type TLS struct {
	Cert, Key  string // of the hub; needed to listen
	CA         string // who may have signed the certificate of the other side: to listen, "" asks for none; to connect, "" takes the system's
	ServerName string // what the certificate of the other side has to be for; "" takes the host. To connect only
	MinVersion uint16 // as in crypto/tls; 0 for TLS 1.3
}

// config is what crypto/tls makes of it, without what differs between the two sides.
func (t TLS) config() (config *tls.Config, authorities *x509.CertPool, err error) {
	config = &tls.Config{MinVersion: t.MinVersion}
	if t.MinVersion == 0 {
		config.MinVersion = tls.VersionTLS13
	}
	if t.Cert != "" || t.Key != "" {
		pair, err := tls.X509KeyPair([]byte(t.Cert), []byte(t.Key))
		if err != nil {
			return nil, nil, fmt.Errorf("cert and key cannot be used (%w); give the PEM of a certificate, and of the key that belongs to it", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if t.CA != "" {
		authorities = x509.NewCertPool()
		if !authorities.AppendCertsFromPEM([]byte(t.CA)) {
			return nil, nil, errors.New("there is no certificate in ca; give it in PEM")
		}
	}
	return config, authorities, nil
}

// serverConfig is for an end that listens.
func (s Spec) serverConfig() (*tls.Config, error) {
	config, authorities, err := s.TLS.config()
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", s.Address, err)
	case len(config.Certificates) == 0:
		return nil, fmt.Errorf("%s: an end that listens with TLS needs a certificate; give it cert and key", s.Address)
	case authorities != nil:
		config.ClientCAs, config.ClientAuth = authorities, tls.RequireAndVerifyClientCert
	}
	// A peer that only writes never reads its ticket; closing with something unread resets the connection, and what it wrote last is lost.
	config.SessionTicketsDisabled = true
	return config, nil
}

// clientConfig is for an end that connects.
func (s Spec) clientConfig() (*tls.Config, error) {
	config, authorities, err := s.TLS.config()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Address, err)
	}
	config.RootCAs, config.ServerName = authorities, s.TLS.ServerName
	if config.ServerName == "" {
		host, _ := s.Address.HostPort()
		config.ServerName, _, _ = strings.Cut(host, "%") // the zone of an IPv6 address is of this machine, and in no certificate
	}
	return config, nil
}

// dialTLS connects to a host, and makes a bridge to it. While none can be made it waits.
func (o *Opener) dialTLS(ctx context.Context, s Spec) (Peer, error) {
	for {
		if err := o.bridges.wait(ctx); err != nil {
			return Peer{}, err
		}
		p, err := o.dialTLSOnce(ctx, s)
		if !errors.Is(err, errNoBridges) {
			return p, err
		}
	}
}

func (o *Opener) dialTLSOnce(ctx context.Context, s Spec) (Peer, error) {
	config, err := s.clientConfig()
	if err != nil {
		return Peer{}, err
	}
	tcp, err := dialHost(ctx, s)
	if err != nil {
		return Peer{}, err
	}
	conn := tls.Client(&patientConn{TCPConn: tcp}, config)
	if err := handshake(ctx, conn); err != nil {
		tcp.Close() //nolint:errcheck // it is of no use
		return Peer{}, unmet(s, config, err)
	}
	return o.bridges.join(conn, s)
}

// handshake blocks until it is done, ctx ends, or it has taken too long. The connection stays the caller's.
func handshake(ctx context.Context, conn *tls.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	err := conn.HandshakeContext(ctx)
	if errors.Is(err, context.Canceled) {
		return context.Cause(ctx)
	}
	return err
}

// subject names who has shown a certificate that was verified; "" if nobody has.
func subject(conn *tls.Conn) string {
	if state := conn.ConnectionState(); len(state.VerifiedChains) > 0 {
		return state.PeerCertificates[0].Subject.String()
	}
	return ""
}

// patientConn is the TCP connection below TLS. TLS cannot go on with a write that was cut short by a deadline; so a write that stalls asks now and
// then whether it still matters, and whoever is asked closes the connection if not.
type patientConn struct {
	*net.TCPConn
	stalled func() // nil during the handshake
}

// stallTime is how long nothing may be taken from a write before it asks.
const stallTime = 500 * time.Millisecond

func (c *patientConn) Write(p []byte) (written int, err error) {
	for {
		if err := c.SetWriteDeadline(time.Now().Add(stallTime)); err != nil {
			return written, err
		}
		n, err := c.TCPConn.Write(p[written:])
		written += n
		if err == nil || !isTimeout(err) {
			return written, err
		}
		if c.stalled != nil {
			c.stalled()
		}
	}
}
