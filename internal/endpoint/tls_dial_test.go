package endpoint_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/endpoint"
	"serialhub/internal/testenv"
)

// serve accepts connections and has each handled, until the test ends.
func serve(t *testing.T, handle func(net.Conn)) (where string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-ended })
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.SetDeadline(time.Now().Add(patience))
			handle(conn)
			conn.Close()
		}
	}()
	return l.Addr().String()
}

// shakeHands does the handshake of a server, and waits until the client leaves.
func shakeHands(config *tls.Config) func(net.Conn) {
	return func(conn net.Conn) { io.Copy(io.Discard, tls.Server(conn, config)) }
}

func TestTLSDial(t *testing.T) {
	noDescriptorsLeft(t)
	ca := testenv.NewAuthority(t, "the authority")
	data := noise(11, 1<<20)
	where := serve(t, func(conn net.Conn) {
		server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "lab7", false).Pair(t)}, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert})
		io.Copy(server, server)
		server.Close()
	})
	opener := endpoint.NewOpener(nil)
	s := tlsSpec(t, where)
	own := ca.Issue(t, "hub", false)
	s.Connects, s.TLS = true, endpoint.TLS{CA: ca.PEM, Cert: own.Cert, Key: own.Key}
	for _, name := range []string{"", "lab7"} {
		s.TLS.ServerName = name
		p, err := opener.Dial(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if want := (endpoint.Credentials{Address: where, Subject: "CN=lab7"}); p.Credentials != want || p.Via != s.Via() || p.Nature != endpoint.Local {
			t.Errorf("the peer is %+v, want %+v", p, want)
		}
		side := relay(t, p)
		wait := send(t, side, data)
		expect(t, side, data)
		wait()
		side.hangUp()
		opener.CloseBridges(patience)
	}
}

func TestTLSDialRefuses(t *testing.T) {
	t.Parallel()
	ca, other := testenv.NewAuthority(t, "the authority"), testenv.NewAuthority(t, "another authority")
	server := &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "lab7", false).Pair(t)}}
	expired := &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "lab7", true).Pair(t)}}
	old := &tls.Config{Certificates: server.Certificates, MaxVersion: tls.VersionTLS12}
	oldWithCA := &tls.Config{Certificates: server.Certificates, MaxVersion: tls.VersionTLS12, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert}
	stranger := other.Issue(t, "hub", false)
	nameless, self := selfSigned(t, time.Hour)
	fallen, fallenCA := chained(t)
	tests := []struct {
		name, says string
		serve      func(net.Conn)
		tls        endpoint.TLS
	}{
		{"unknown authority", "set ca to", shakeHands(server), endpoint.TLS{CA: other.PEM}},
		{"unknown to the system", "set ca to", shakeHands(server), endpoint.TLS{}},
		{"wrong name", `not for "lab8"`, shakeHands(server), endpoint.TLS{CA: ca.PEM, ServerName: "lab8"}},
		{"nameless", "no server_name would do; make the certificate with a subjectAltName, such as IP:127.0.0.1", shakeHands(nameless), endpoint.TLS{CA: self}},
		{"expired", `not valid now ("CN=lab7" is from 20`, shakeHands(expired), endpoint.TLS{CA: ca.PEM}},
		{"expired authority", `not valid now ("CN=lab7" is from 20`, shakeHands(fallen), endpoint.TLS{CA: fallenCA}},
		{"TLS 1.2", "lower min_tls", shakeHands(old), endpoint.TLS{CA: ca.PEM}},
		{"TLS 1.2 that wants a certificate", "set cert and key", shakeHands(oldWithCA), endpoint.TLS{CA: ca.PEM, MinVersion: tls.VersionTLS12}},
		{"TLS 1.2 that wants another", "have it signed by an authority that it knows", shakeHands(oldWithCA), endpoint.TLS{CA: ca.PEM, MinVersion: tls.VersionTLS12, Cert: stranger.Cert, Key: stranger.Key}},
		{"resets", "has hung up", func(c net.Conn) { c.Read(make([]byte, 1)); c.(*net.TCPConn).SetLinger(0) }, endpoint.TLS{CA: ca.PEM}},
		{"plain text", "does not speak TLS", func(c net.Conn) { io.WriteString(c, "login: ") }, endpoint.TLS{CA: ca.PEM}},
		{"hangs up", "has hung up", func(c net.Conn) { c.Read(make([]byte, 4096)) }, endpoint.TLS{CA: ca.PEM}},
		{"silent", "does not complete the TLS handshake", func(c net.Conn) { io.Copy(io.Discard, c) }, endpoint.TLS{CA: ca.PEM}},
		{"unusable", "there is no certificate in ca", func(net.Conn) {}, endpoint.TLS{CA: "nonsense"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := tlsSpec(t, serve(t, test.serve))
			s.Connects, s.TLS = true, test.tls
			p, err := endpoint.NewOpener(nil).Dial(t.Context(), s)
			if err == nil {
				p.Close()
				t.Fatal("Dial has connected")
			}
			if !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), s.Address.String()) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Dial says %q, which does not contain %q and the address in one line", err, test.says)
			}
			if changing.MatchString(err.Error()) {
				t.Errorf("Dial says %q, which is another text each time", err)
			}
		})
	}
}

// changing is what differs from one attempt to the next.
var changing = regexp.MustCompile(`current time|->`)

// selfSigned is a server whose certificate has no name but the one that nobody looks at, and that certificate.
func selfSigned(t *testing.T, lasts time.Duration) (config *tls.Config, ca string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "lab7"}, SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(lasts),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(crand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// chained is a server whose certificate is signed by an authority that has expired, and that authority.
func chained(t *testing.T) (config *tls.Config, ca string) {
	t.Helper()
	authority, ca := selfSigned(t, -time.Hour)
	parent, err := x509.ParseCertificate(authority.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(crand.Reader, template, parent, key.Public(), authority.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, ca
}

// TestTLSServerDoesNotKnowTheHub checks that nobody is told to set what is set.
func TestTLSServerDoesNotKnowTheHub(t *testing.T) {
	noDescriptorsLeft(t)
	ca := testenv.NewAuthority(t, "the authority")
	where := serve(t, shakeHands(&tls.Config{
		Certificates: []tls.Certificate{ca.Issue(t, "lab7", false).Pair(t)}, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
	}))
	own := testenv.NewAuthority(t, "another authority").Issue(t, "hub", false)
	s := tlsSpec(t, where)
	s.Connects, s.TLS = true, endpoint.TLS{CA: ca.PEM, Cert: own.Cert, Key: own.Key}
	opener := endpoint.NewOpener(nil)
	defer opener.CloseBridges(patience)
	p, err := opener.Dial(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	err = relay(t, p).departure()
	if err == nil || strings.Contains(err.Error(), "set cert") || !strings.Contains(err.Error(), "does not accept the hub's certificate: have it signed") {
		t.Errorf("the peer has left with %v", err)
	}
}

// TestTLSDialZone has the host be an address with a zone, which no certificate has.
func TestTLSDialZone(t *testing.T) {
	s := tlsSpec(t, "[::1%lo]:1")
	s.Connects = true
	if name, err := endpoint.ServerName(s); err != nil || name != "::1" {
		t.Errorf("the certificate has to be for %q, %v", name, err)
	}
}

func TestTLSDialEndsWithItsContext(t *testing.T) {
	noDescriptorsLeft(t)
	came := make(chan struct{})
	where := serve(t, func(c net.Conn) { close(came); io.Copy(io.Discard, c) })
	s := tlsSpec(t, where)
	s.Connects = true
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-came; cancel() }()
	if _, err := endpoint.NewOpener(nil).Dial(ctx, s); !errors.Is(err, context.Canceled) {
		t.Errorf("Dial gave %v", err)
	}
}

// TestTLSServerWantsACertificate checks that it is told what a client of TLS 1.3 learns only after the handshake.
func TestTLSServerWantsACertificate(t *testing.T) {
	noDescriptorsLeft(t)
	ca := testenv.NewAuthority(t, "the authority")
	where := serve(t, shakeHands(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "lab7", false).Pair(t)}, ClientAuth: tls.RequireAnyClientCert}))
	s := tlsSpec(t, where)
	s.Connects, s.TLS.CA = true, ca.PEM
	opener := endpoint.NewOpener(nil)
	defer opener.CloseBridges(patience)
	p, err := opener.Dial(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	err = relay(t, p).departure()
	if err == nil || !strings.Contains(err.Error(), "certificate required") || !strings.Contains(err.Error(), "set cert and key") {
		t.Errorf("the peer has left with %v", err)
	}
}

// openssl runs it until the test ends. What it says on its standard error is logged if the test fails.
func openssl(t *testing.T, args ...string) (to io.WriteCloser, from io.Reader, wait func() error) {
	t.Helper()
	cmd := exec.Command(testenv.Program(t, "openssl"), args...)
	var says bytes.Buffer
	cmd.Stderr = &says
	to, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	from, err = cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waited := false
	wait = func() error { waited = true; return cmd.Wait() }
	t.Cleanup(func() {
		if !waited {
			cmd.Process.Kill()
			cmd.Wait()
		}
		if t.Failed() || strings.Contains(says.String(), "unexpected eof") {
			t.Errorf("openssl says: %s", says.String())
		}
	})
	return to, from, wait
}

func TestOpenSSLClient(t *testing.T) {
	for name, leave := range map[string]func(*relaySide, io.Closer){
		"the relay leaves":  func(side *relaySide, _ io.Closer) { side.hangUp() },
		"the client leaves": func(side *relaySide, to io.Closer) { to.Close(); side.departure() },
	} {
		t.Run(name, func(t *testing.T) {
			noDescriptorsLeft(t)
			h := newTLSHub(t)
			own := h.ca.Issue(t, "guest", false)
			to, from, wait := openssl(t, "s_client", "-connect", h.where(), "-quiet", "-no_ign_eof", "-verify_return_error",
				"-CAfile", file(t, h.ca.PEM), "-cert", file(t, own.Cert), "-key", file(t, own.Key))
			side := h.welcome()
			exchange(t, side, to, from)
			last := noise(12, 50<<10)
			if _, err := side.Write(last); err != nil {
				t.Fatal(err)
			}
			if name == "the client leaves" {
				expect(t, from, last)
			}
			leave(side, to)
			if name == "the relay leaves" {
				expectLast(t, from, last)
			}
			if err := wait(); err != nil {
				t.Errorf("openssl has ended with %v", err)
			}
		})
	}
}

// exchange carries some MB between the relay and openssl, one way after the other, and back.
func exchange(t *testing.T, side *relaySide, to io.Writer, from io.Reader) {
	t.Helper()
	there, back := noise(13, 4<<20), noise(14, 4<<20)
	for i, b := range there {
		if b == 'Q' || b == 'R' || b == 'K' || b == 'k' {
			there[i] = 0 // a client that ends with its input takes these for commands
		}
	}
	wait := send(t, to, there)
	expect(t, side, there)
	wait()
	wait = send(t, side, back)
	expect(t, from, back)
	wait()
}

func TestOpenSSLServer(t *testing.T) {
	noDescriptorsLeft(t)
	ca := testenv.NewAuthority(t, "the authority")
	lab, own := ca.Issue(t, "lab7", false), ca.Issue(t, "hub", false)
	s := tlsSpec(t, freePort(t))
	s.Connects, s.TLS = true, endpoint.TLS{CA: ca.PEM, Cert: own.Cert, Key: own.Key, ServerName: "lab7"}
	to, from, _ := openssl(t, "s_server", "-accept", strings.TrimPrefix(s.Address.String(), "tls:"), "-quiet", "-naccept", "1",
		"-Verify", "1", "-verify_return_error", "-CAfile", file(t, ca.PEM), "-cert", file(t, lab.Cert), "-key", file(t, lab.Key))
	opener := endpoint.NewOpener(nil)
	defer opener.CloseBridges(patience)
	var p endpoint.Peer
	eventually(t, "nobody listens", func() bool {
		var err error
		p, err = opener.Dial(t.Context(), s)
		if err != nil && !errors.Is(err, unix.ECONNREFUSED) {
			t.Fatal(err)
		}
		return err == nil
	})
	side := relay(t, p)
	exchange(t, side, to, from)
	last := noise(15, 50<<10)
	if _, err := side.Write(last); err != nil {
		t.Fatal(err)
	}
	side.hangUp()
	expectLast(t, from, last)
}
