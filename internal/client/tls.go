package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// TLSError says that this program and what answers at an address do not agree on TLS. Trying again does not help.
type TLSError struct {
	Reason string
	Err    error
}

func (e *TLSError) Error() string { return Printable(e.Reason) }
func (e *TLSError) Unwrap() error { return e.Err }

// TLSFiles are the PEM files by which a client and a hub know each other; "" for one that there is not.
type TLSFiles struct {
	CA        string // who must have signed the hub's certificate; "" takes those that the system trusts
	Cert, Key string // the client's own
	Exactly   string // the hub's certificate itself, whatever its name and its authority; CA goes before it
}

// Config reads the files.
func (f TLSFiles) Config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if (f.Cert == "") != (f.Key == "") {
		return nil, errors.New("a certificate and its key go together: --cert FILE --key FILE")
	}
	if f.Cert != "" {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fmt.Errorf("--cert and --key cannot be used: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	switch {
	case f.CA != "":
		text, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--ca: there is no certificate in %s; give the PEM of the hub's authority, or of its own certificate", f.CA)
		}
	case f.Exactly != "":
		cert, err := firstCertificate(f.Exactly)
		if err != nil {
			return nil, err
		}
		config.InsecureSkipVerify = true // it is held against the one that it has to be
		config.VerifyConnection = func(state tls.ConnectionState) error {
			if !bytes.Equal(state.PeerCertificates[0].Raw, cert) {
				return &otherCertificateError{f.Exactly}
			}
			return nil
		}
	}
	return config, nil
}

// otherCertificateError says that a hub has not shown the certificate that it should have.
type otherCertificateError struct{ file string }

func (e *otherCertificateError) Error() string { return "it is not the one in " + e.file }

// firstCertificate reads the one of a server, which stands before those that have signed it.
func firstCertificate(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the hub's certificate cannot be read: %w; --ca FILE names another that is to be trusted", err)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return block.Bytes, nil
		}
	}
	return nil, fmt.Errorf("there is no certificate in %s", path)
}

// handshake makes a connection one with TLS. It owns the connection, also if it returns an error.
func (c *Client) handshake(ctx context.Context, conn net.Conn, address Address) (net.Conn, error) {
	config := c.place.TLS.Clone()
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	}
	if config.ServerName == "" {
		host, _, _ := net.SplitHostPort(address.Address)
		config.ServerName, _, _ = strings.Cut(host, "%") // the zone of an IPv6 address is in no certificate
	}
	limited, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	secure := tls.Client(conn, config)
	err := secure.HandshakeContext(limited)
	if err == nil {
		return secure, nil
	}
	conn.Close() //nolint:errcheck // it is of no use
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, c.unmet(address, err)
}

// unmet says what is wrong with a handshake, and what helps.
func (c *Client) unmet(address Address, err error) error {
	var (
		noTLS     tls.RecordHeaderError
		unknown   x509.UnknownAuthorityError
		wrongName x509.HostnameError
		invalid   x509.CertificateInvalidError
		other     *otherCertificateError
	)
	fail := func(format string, args ...any) error {
		return &TLSError{Reason: fmt.Sprintf("what answers at %s (%s) ", address, c.place.By) + fmt.Sprintf(format, args...), Err: err}
	}
	switch {
	case errors.As(err, &noTLS):
		return fail("does not speak TLS; write %s, without https://", address.Address)
	case errors.As(err, &other):
		return fail("shows another certificate than that in %s; if it has been renewed, reload the hub, and else it is not that hub", other.file)
	case errors.As(err, &unknown):
		return fail("has a certificate that this program does not trust (%s); --ca FILE names the one that has signed it, or the certificate itself", unknown)
	case errors.As(err, &wrongName):
		return fail("has a certificate for another name (%s); call it by a name that it is for", wrongName)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fail("has a certificate that is valid only from %s to %s", invalid.Cert.NotBefore.UTC().Format(time.RFC3339), invalid.Cert.NotAfter.UTC().Format(time.RFC3339))
	case isAlert(err):
		return c.refused(err)
	case hasHungUp(err), errors.Is(err, context.DeadlineExceeded):
		return &LostError{Reason: fmt.Sprintf("the hub at %s has hung up in the middle of the TLS handshake, or does not speak TLS", address)}
	default:
		return fail("cannot be spoken to with TLS: %s", err)
	}
}

// isAlert tells whether it is the hub that has ended a TLS connection, by an alert.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error" // crypto/tls gives them no type
}

// refused says what a hub may have against this program. With TLS 1.3 it says so when the handshake is over here.
func (c *Client) refused(err error) error {
	remedy := "it wants a certificate of its clients: --cert FILE --key FILE"
	if c.place.TLS != nil && len(c.place.TLS.Certificates) > 0 {
		remedy = "the certificate in --cert has to be signed by an authority in its api.tls.client_ca, for clients, and be valid now"
	}
	return &TLSError{Reason: fmt.Sprintf("the hub at %s (%s) refuses this program: %s; %s", c.place.list(), c.place.By, innermost(err), remedy), Err: err}
}

// speaksTLS is what Go's servers answer who does not speak TLS with one that does.
const speaksTLS = "Client sent an HTTP request to an HTTPS server."
