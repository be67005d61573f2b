package api

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"serialhub/internal/access"
	"serialhub/internal/config"
)

// terms are what the config says of who may call. They do not change; a reload makes others.
type terms struct {
	listeners   map[config.APIAddress]config.APIListener
	guarded     bool // callers on TCP must show a token
	keys        access.Keyring
	tls         *tls.Config       // nil if TCP goes without
	authorities *x509.CertPool    // who must have signed a client's certificate; nil for none
	cert        *x509.Certificate // the hub's own, or nil
	hosts       []string          // names in api.listen, in small letters
}

func newTerms(c config.API) (*terms, error) {
	t := &terms{listeners: map[config.APIAddress]config.APIListener{}, guarded: c.TokenFile != "", keys: access.NewKeyring(c.Tokens)}
	for _, l := range c.Listen {
		t.listeners[l.APIAddress] = l
		if host, _, err := net.SplitHostPort(l.Address); err == nil && l.Network != "unix" {
			if _, err := netip.ParseAddr(host); err != nil && host != "" {
				t.hosts = append(t.hosts, strings.ToLower(host))
			}
		}
	}
	if c.TLS.Cert == "" {
		return t, nil
	}
	pair, err := tls.X509KeyPair([]byte(c.TLS.Cert), []byte(c.TLS.Key))
	if err != nil {
		return nil, fmt.Errorf("api.tls: cert and key cannot be used (%w); give the PEM of a certificate, and of the key that belongs to it", err)
	}
	t.cert = pair.Leaf
	t.tls = &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"http/1.1"}, // a stream of HTTP/2 cannot become a WebSocket as one of HTTP/1.1 does
	}
	if c.TLS.CA == "" {
		return t, nil
	}
	t.authorities = x509.NewCertPool()
	if !t.authorities.AppendCertsFromPEM([]byte(c.TLS.CA)) {
		return nil, errors.New("api.tls: there is no certificate in client_ca; give it in PEM")
	}
	t.tls.ClientCAs, t.tls.ClientAuth = t.authorities, tls.RequireAndVerifyClientCert
	return t, nil
}

// warn tells of what works, and is not as good as people may think.
func (t *terms) warn(c config.API, log *slog.Logger) {
	for _, token := range c.Tokens {
		if token.Weak() {
			log.Warn("a token of the API is so short that it could be guessed; make one by: openssl rand -hex 32", "file", c.TokenFile, "line", token.Line)
		}
	}
	if now := time.Now(); t.cert != nil && (now.After(t.cert.NotAfter) || now.Before(t.cert.NotBefore)) {
		log.Warn("the API's certificate is not valid now, so that clients will refuse it", "subject", t.cert.Subject.String(),
			"not_before", t.cert.NotBefore.UTC().Format(time.RFC3339), "not_after", t.cert.NotAfter.UTC().Format(time.RFC3339))
	}
	if t.tls != nil {
		return
	}
	for _, l := range c.Listen {
		host, _, err := net.SplitHostPort(l.Address)
		if l.Network == "unix" || err != nil {
			continue
		}
		if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
			log.Warn("tokens and all else cross the network in the clear to this address; api.tls would hide them", "address", l.String())
		}
	}
}

// knows tells whether a name, without its port, is one of the hub's.
func (t *terms) knows(host string) bool {
	host = strings.TrimSuffix(host, ".")
	return slices.Contains(t.hosts, strings.ToLower(host)) || t.cert != nil && t.cert.VerifyHostname(host) == nil
}

// signed tells whether a client has shown a certificate that will do now; those at the beginning of its connection may have asked for less.
func (t *terms) signed(shown *tls.ConnectionState) bool {
	if t.authorities == nil {
		return true
	}
	if shown == nil || len(shown.PeerCertificates) == 0 {
		return false
	}
	between := x509.NewCertPool()
	for _, cert := range shown.PeerCertificates[1:] {
		between.AddCert(cert)
	}
	_, err := shown.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: t.authorities, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err == nil
}
