package endpoint

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// isTimeout tells whether a deadline has passed.
func isTimeout(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}

// isAlert tells whether it is the other side that has ended a TLS connection, by an alert.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error" // crypto/tls gives them no type
}

func isHangUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)
}

// A fault that stays has the same text each time, so that the log says it once; see steady and lapsed for what differs in those of the library.

// steady is an error without the addresses of a connection: the port of this side is another one each time.
func steady(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Source != nil {
		return op.Err
	}
	return err
}

// lapsed tells which certificate is not valid now, and when it is; "" if err is no such thing. The error of crypto/x509 says what time it is.
func lapsed(err error) string {
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		return ""
	}
	return fmt.Sprintf("%q is from %s to %s", invalid.Cert.Subject, invalid.Cert.NotBefore.UTC().Format(time.RFC3339), invalid.Cert.NotAfter.UTC().Format(time.RFC3339))
}

// unwelcome adds to an error of a handshake with a peer that has come what a person can do about it.
func unwelcome(s Spec, err error) error {
	var (
		noTLS      tls.RecordHeaderError
		unknown    x509.UnknownAuthorityError
		unverified *tls.CertificateVerificationError
	)
	err = steady(err)
	describe := func(what, remedy string) error { return fmt.Errorf("%s: %s (%w); %s", s.Address, what, err, remedy) }
	switch {
	case isTimeout(err):
		return describe(fmt.Sprintf("the peer has not completed the TLS handshake within %v", handshakeTime), "does it speak TLS?")
	case errors.Is(err, errCrowded):
		return describe("the peer is slow in its TLS handshake, and was given up", "does it speak TLS?")
	case errors.As(err, &noTLS):
		return describe("the peer does not speak TLS", "have it use TLS, or give this end a tcp address")
	case isAlert(err):
		return describe("the peer has refused the TLS handshake", "does it trust the certificate of this end, and speak the same versions of TLS?")
	case lapsed(err) != "":
		return fmt.Errorf("%s: the peer's certificate is not valid now (%s); renew it, or set the clocks right", s.Address, lapsed(err))
	case errors.As(err, &unknown):
		return describe("the peer's certificate is signed by nobody that this end trusts", "give it another, or add its authority to client_ca")
	case errors.As(err, &unverified):
		return describe("the peer's certificate is not accepted", "give it one that is made for clients, and signed by an authority in client_ca")
	case strings.Contains(err.Error(), "client didn't provide a certificate"): // it has no type
		return describe("the peer has shown no certificate", "give it one that is signed by an authority in client_ca; it may have one of another, which many do not show then")
	case strings.Contains(err.Error(), "unsupported versions"): // likewise
		return describe("the peer speaks only versions of TLS that this end does not", "update it, or lower min_tls")
	case isHangUp(err):
		return describe("the peer has hung up in the middle of the TLS handshake", "look at what it says")
	default:
		return describe("the TLS handshake has failed", "look at what the peer says")
	}
}

// unmet adds to an error of a handshake with a host what a person can do about it.
func unmet(s Spec, config *tls.Config, err error) error {
	var (
		noTLS      tls.RecordHeaderError
		unknown    x509.UnknownAuthorityError
		wrongName  x509.HostnameError
		unverified *tls.CertificateVerificationError
	)
	err = steady(err)
	describe := func(what, remedy string) error { return fmt.Errorf("%s %s (%w); %s", s.Address, what, err, remedy) }
	switch {
	case isTimeout(err):
		return describe("does not complete the TLS handshake", "does it speak TLS?")
	case errors.As(err, &noTLS):
		return describe("does not speak TLS", "write a tcp address, or the port on which it does")
	case isAlert(err):
		return describe("has refused the TLS handshake", s.refusedRemedy(err))
	case lapsed(err) != "":
		return fmt.Errorf("%s has a certificate that is not valid now (%s); renew it, or set the clocks right", s.Address, lapsed(err))
	case errors.As(err, &wrongName) && len(wrongName.Certificate.DNSNames)+len(wrongName.Certificate.IPAddresses) == 0:
		return describe("has a certificate that is for no name at all", "no server_name would do; make the certificate with a subjectAltName, such as "+altName(config.ServerName))
	case errors.As(err, &wrongName):
		return describe(fmt.Sprintf("has a certificate that is not for %q", config.ServerName), "set server_name to a name that it is for")
	case errors.As(err, &unknown):
		return describe("has a certificate that is signed by nobody that this end trusts", "set ca to the certificate of its authority")
	case errors.As(err, &unverified):
		return describe("has a certificate that is not accepted", "give it one that is made for servers, and signed by an authority in ca")
	case strings.Contains(err.Error(), "unsupported protocol version"): // it has no type
		return describe("speaks only versions of TLS that this end does not", "update it, or lower min_tls")
	case isHangUp(err):
		return describe("has hung up in the middle of the TLS handshake", "look at what it says")
	default:
		return describe("cannot be spoken to with TLS", "look at what it says")
	}
}

// altName is a name as openssl wants it among the subjectAltNames.
func altName(name string) string {
	if net.ParseIP(name) != nil {
		return "IP:" + name
	}
	return "DNS:" + name
}

// refusedRemedy is what can be done about a peer that has sent an alert.
func (s Spec) refusedRemedy(alert error) string {
	text := alert.Error() // alerts have no type
	switch {
	case !s.Connects:
		return "look at what it says"
	case strings.Contains(text, "protocol version"):
		return "update it, or lower min_tls"
	case s.TLS.Cert == "":
		return "if it wants a certificate of the hub, set cert and key to one that it accepts; if it speaks an older TLS only, lower min_tls"
	case strings.Contains(text, "certificate"): // which Go does not show to one who says that he would not accept it
		return "the other side does not accept the hub's certificate: have it signed by an authority that it knows"
	default:
		return "if it does not accept the hub's certificate, have it signed by an authority that it knows; if it speaks an older TLS only, lower min_tls"
	}
}

// ended adds to the error with which a TLS connection has ended what a person can do about it. It is nil for one that was closed.
func ended(s Spec, err error) error {
	err = steady(err)
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the TLS connection has broken off in the middle of a message (%w)", err)
	case isAlert(err): // with TLS 1.3, a client learns only now what the server says to its certificate
		return fmt.Errorf("the peer has ended the TLS connection (%w); %s", err, s.refusedRemedy(err))
	default:
		return fmt.Errorf("the TLS connection has ended: %w", err)
	}
}
