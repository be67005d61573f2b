package ends

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"time"

	"serialhub/internal/testenv"
)

func tlsListen() kind {
	return kind{name: "tls", tcp: true, tls: true, cuts: true, make: func(t *testing.T, dir, name string) site {
		address, own := freeAddress(t, "127.0.0.1"), newIdentity(t, dir, name)
		s := ofNetwork("tcp", address)
		s.dial = func() (net.Conn, error) { return tls.Dial("tcp", address, &tls.Config{RootCAs: own.pool}) }
		return &listenSite{s, fmt.Sprintf("{listen: %q, cert: %q, key: %q}", "tls:"+address, own.cert, own.key)}
	}}
}

func tlsConnect() kind {
	return kind{name: "tlsc", tcp: true, tls: true, cuts: true, fetched: true, make: func(t *testing.T, dir, name string) site {
		address, own := freeAddress(t, "127.0.0.1"), newIdentity(t, dir, name)
		s := ofNetwork("tcp", address)
		s.greet = func(conn net.Conn) (net.Conn, error) {
			secure := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{own.pair}})
			secure.SetDeadline(time.Now().Add(patience))
			if err := secure.Handshake(); err != nil {
				conn.Close()
				return nil, err
			}
			return secure, secure.SetDeadline(time.Time{})
		}
		return &connectSite{socket: s, text: fmt.Sprintf("{connect: %q, ca: %q}", "tls:"+address, own.ca)}
	}}
}

// identity is a certificate for 127.0.0.1 and its key, and who has signed it.
type identity struct {
	cert, key, ca string // files
	pair          tls.Certificate
	pool          *x509.CertPool
}

func newIdentity(t *testing.T, dir, name string) identity {
	t.Helper()
	authority := testenv.NewAuthority(t, "the authority of "+name)
	issued := authority.Issue(t, name, false)
	path := func(what string) string { return filepath.Join(dir, name+"."+what+".pem") }
	own := identity{cert: path("cert"), key: path("key"), ca: path("ca"), pair: issued.Pair(t), pool: authority.Pool()}
	issued.Write(t, own.cert, own.key)
	testenv.WriteFile(t, own.ca, authority.PEM)
	return own
}
