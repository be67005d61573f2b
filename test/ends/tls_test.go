package ends

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
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
		return &connectSite{socket: s, text: fmt.Sprintf("{connect: %q, ca: %q}", "tls:"+address, own.cert)}
	}}
}

// identity is a certificate for 127.0.0.1 that vouches for itself, and its key.
type identity struct {
	cert, key string // files
	pair      tls.Certificate
	pool      *x509.CertPool
}

func newIdentity(t *testing.T, dir, name string) identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	own := identity{cert: filepath.Join(dir, name+".cert.pem"), key: filepath.Join(dir, name+".key.pem"), pool: x509.NewCertPool()}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	own.pool.AppendCertsFromPEM(certPEM)
	if own.pair, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string][]byte{own.cert: certPEM, own.key: keyPEM} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return own
}
