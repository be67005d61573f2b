package endpoint_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/endpoint"
	"serialhub/internal/testenv"
)

// knock is a client that the hub does not let in. It ends with the test.
func (h *tlsHub) knock(t *testing.T, attempt func(net.Conn)) {
	t.Helper()
	conn, err := net.Dial("tcp", h.where())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); attempt(conn) }()
	t.Cleanup(func() { conn.Close(); <-done })
}

// shake tries a handshake, and waits for what the server says to it.
func shake(config *tls.Config) func(net.Conn) {
	return func(conn net.Conn) {
		if client := tls.Client(conn, config); client.Handshake() == nil {
			client.Read(make([]byte, 1))
		}
	}
}

// TestTLSRefuses checks that each who cannot be let in is reported once, and holds up nobody.
func TestTLSRefuses(t *testing.T) {
	t.Parallel()
	h := newTLSHub(t)
	other := testenv.NewAuthority(t, "another authority")
	config := func(change func(*tls.Config)) *tls.Config {
		config := h.config()
		change(config)
		return config
	}
	with := func(i testenv.Identity) *tls.Config {
		pair := i.Pair(t)
		// Else the client would not show what the server does not trust.
		return config(func(c *tls.Config) {
			c.Certificates, c.GetClientCertificate = nil, func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		})
	}
	tests := []struct {
		name, says string
		attempt    func(net.Conn)
	}{
		{"plain text", "does not speak TLS", func(c net.Conn) { io.WriteString(c, "login: root\n") }},
		{"no certificate", "signed by an authority in client_ca; it may have one of another", shake(config(func(c *tls.Config) { c.Certificates = nil }))},
		{"no certificate, TLS 1.2", "only versions of TLS", shake(config(func(c *tls.Config) { c.Certificates, c.MaxVersion = nil, tls.VersionTLS12 }))},
		{"another authority", "add its authority to client_ca", shake(with(other.Issue(t, "guest", false)))},
		{"expired", `not valid now ("CN=guest" is from 20`, shake(with(h.ca.Issue(t, "guest", true)))},
		{"TLS 1.2", "only versions of TLS", shake(config(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }))},
		{"does not trust the hub", "refused the TLS handshake", shake(config(func(c *tls.Config) { c.RootCAs = other.Pool() }))},
		{"hangs up", "hung up in the middle", func(c net.Conn) { c.Close() }},
	}
	h.knock(t, func(c net.Conn) { io.Copy(io.Discard, c) }) // is silent
	given := 0                                              // up on the silent one
	h.connect()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h.t = t
			h.knock(t, test.attempt)
			err := h.refusal()
			if strings.Contains(err.Error(), "within 10s") { // this machine is slow
				given++
				err = h.refusal()
			}
			if !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "current time") {
				t.Errorf("Accept says %q, which does not contain %q in one line", err, test.says)
			}
		})
	}
	h.t = t
	h.connect()
	if given == 0 {
		if err := h.refusal(); !strings.Contains(err.Error(), "within 10s") {
			t.Errorf("Accept gave %v", err)
		}
	}
	if _, err := h.Accept(); !errors.Is(err, endpoint.ErrNoPeer) || given > 1 {
		t.Errorf("Accept gave %v, and the silent one was given up %d times early", err, given)
	}
}

// refusal waits for why somebody was not let in.
func (h *tlsHub) refusal() error {
	h.t.Helper()
	_, err := h.next()
	var refused *endpoint.RefusedError
	if !errors.As(err, &refused) || refused.Peer.Address == "" {
		h.t.Fatalf("Accept gave %v", err)
	}
	return err
}

func TestTLSTakesAnOlderVersionIfTold(t *testing.T) {
	noDescriptorsLeft(t)
	h := newTLSHub(t)
	h.spec.TLS.MinVersion = tls.VersionTLS12
	if err := h.Adjust(h.spec); err != nil {
		t.Fatal(err)
	}
	config := h.config()
	config.MaxVersion = tls.VersionTLS12
	conn := h.dial(config)
	side := h.welcome()
	if _, err := side.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	expect(t, conn, []byte("hello"))
}

// TestTLSAdjust swaps the certificates of both sides while a peer is connected.
func TestTLSAdjust(t *testing.T) {
	noDescriptorsLeft(t)
	h := newTLSHub(t)
	old, oldSide := h.connect()
	oldConfig := h.config()

	h.ca = testenv.NewAuthority(t, "the next authority")
	next := h.ca.Issue(t, "hub", false)
	h.spec.TLS = endpoint.TLS{Cert: next.Cert, Key: next.Key, CA: h.ca.PEM}
	if err := h.Adjust(h.spec); err != nil {
		t.Fatal(err)
	}
	for name, unusable := range map[string]endpoint.TLS{
		"needs a certificate":             {},
		"cert and key cannot be used":     {Cert: next.Cert, Key: oldKey(t)},
		"there is no certificate in ca":   {Cert: next.Cert, Key: next.Key, CA: "nonsense"},
		"give the PEM of a certificate, ": {Cert: "nonsense", Key: next.Key},
	} {
		bad := h.spec
		bad.TLS = unusable
		if err := h.Adjust(bad); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Adjust gave %v, want one that says %q", err, name)
		}
		if l, err := h.opener.Bind(bad); err == nil || !strings.Contains(err.Error(), name) {
			l.Close()
			t.Errorf("Bind gave %v, want one that says %q", err, name)
		}
	}
	conn, side := h.connect()
	for _, pair := range []struct {
		conn *tls.Conn
		side *relaySide
	}{{old, oldSide}, {conn, side}} {
		if _, err := pair.side.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		expect(t, pair.conn, []byte("hello"))
	}
	if _, err := tls.Dial("tcp", h.where(), oldConfig); err == nil {
		t.Error("the old certificate is still shown")
	}
	if _, err := h.next(); err == nil {
		t.Error("somebody was let in who does not trust the new certificate")
	}
}

func oldKey(t *testing.T) string {
	return testenv.NewAuthority(t, "of another").Issue(t, "hub", false).Key
}

// TestTLSClose checks that whoever is not accepted is hung up on, and that whoever is goes on.
func TestTLSClose(t *testing.T) {
	noDescriptorsLeft(t)
	h := newTLSHub(t)
	conn, side := h.connect()
	queued := h.dial(h.config())
	readyFor(t, h.FD(), unix.POLLIN)
	silent, err := net.Dial("tcp", h.where())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	l := h.Listener
	h.Listener = nothing{}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	silent.SetDeadline(time.Now().Add(patience))
	for name, left := range map[string]net.Conn{"queued": queued, "silent": silent} {
		if _, err := left.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: it was not hung up on: %v", name, err)
		}
	}
	if late, err := net.Dial("tcp", h.where()); err == nil {
		late.Close()
		t.Error("somebody listens still")
	}
	if _, err := side.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	expect(t, conn, []byte("hello"))
}

// nothing is a Listener that is closed.
type nothing struct{ endpoint.Listener }

func (nothing) Close() error { return nil }

// TestTLSManyWait has more peers come at once than there is room for, while the relay takes none. None is lost, and none comes twice.
func TestTLSManyWait(t *testing.T) {
	noDescriptorsLeft(t)
	h := newTLSHub(t)
	const many = 300
	config := h.config()
	results := make(chan error, many)
	for range many {
		go func() {
			conn, err := net.Dial("tcp", h.where())
			if err == nil {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(2 * patience))
				client := tls.Client(conn, config)
				_, err = io.WriteString(client, client.LocalAddr().String())
				if err == nil {
					_, err = client.Read(make([]byte, 1))
				}
			}
			results <- err
		}()
	}
	names := map[string]bool{}
	for range many {
		side := h.welcome()
		name := side.peer.Credentials.Address
		if names[name] {
			t.Errorf("%s has come twice", name)
		}
		names[name] = true
		expect(t, side, []byte(name))
		if _, err := side.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		side.hangUp()
	}
	for range many {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if h.Waiting() {
		t.Error("somebody is waiting still")
	}
}

// TestTLSSilentPeersYield has more silent ones than there is room for: each gives way once it has had its time, but no earlier than somebody waits.
func TestTLSSilentPeersYield(t *testing.T) {
	noDescriptorsLeft(t)
	h := newTLSHub(t)
	const many = 80
	for range many {
		h.knock(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	}
	start := time.Now()
	conn := h.knockEarly()
	yielded := 0
	for {
		p, err := h.next()
		if err == nil {
			relay(t, p)
			break
		}
		var refused *endpoint.RefusedError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), "others are waiting") {
			t.Fatalf("Accept gave %v", err)
		}
		yielded++
	}
	if err := <-conn; err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 6*time.Second {
		t.Errorf("it took %v to come in", took)
	}
	if yielded > many-64+1 {
		t.Errorf("%d have given way to %d", yielded, many-64+1)
	}
}

// TestTLSAcceptFails has no descriptor left for who has connected: that is told once, and who waits comes in when there is one.
func TestTLSAcceptFails(t *testing.T) {
	noDescriptorsLeft(t)
	h := newTLSHub(t)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	addr, err := net.ResolveTCPAddr("tcp", h.where())
	if err != nil {
		t.Fatal(err)
	}
	config := h.config()
	whole := exhaust(t)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte(addr.IP.To4())}); err != nil {
		t.Fatal(err)
	}
	_, err = h.next()
	var refused *endpoint.RefusedError
	if !errors.Is(err, unix.EMFILE) || errors.As(err, &refused) {
		t.Errorf("Accept gave %v, want EMFILE", err)
	}
	select {
	case <-time.After(1200 * time.Millisecond): // two more attempts
		if h.Waiting() {
			t.Error("it is told again")
		}
	case <-t.Context().Done():
	}
	whole()
	own := os.NewFile(uintptr(fd), "client")
	conn, err := net.FileConn(own)
	own.Close()
	if err != nil {
		t.Fatal(err)
	}
	client := tls.Client(conn, config)
	client.NetConn().SetDeadline(time.Now().Add(patience))
	defer client.Close()
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	h.welcome()
}

// TestTLSShutDown has another program that has the listening socket shut it down: it is told once by the descriptor, and whenever Accept is asked.
func TestTLSShutDown(t *testing.T) {
	noDescriptorsLeft(t)
	h := newTLSHub(t)
	fd, _ := h.Kept()
	if err := unix.Shutdown(fd, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	_, err := h.next()
	_, again := h.Accept()
	for _, err := range []error{err, again} {
		var refused *endpoint.RefusedError
		if err == nil || errors.As(err, &refused) || !strings.Contains(err.Error(), "restart that one's socket unit") {
			t.Errorf("Accept gave %v", err)
		}
	}
	select {
	case <-time.After(1200 * time.Millisecond): // two attempts after any other error
		if h.Waiting() {
			t.Error("it is told again")
		}
	case <-t.Context().Done():
	}
}

// exhaust has the process get no more descriptors, until the function that it returns is called.
func exhaust(t *testing.T) (whole func()) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	lowest, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(lowest)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(lowest), Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	whole = func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(whole)
	return whole
}

// TestTLSAdopts hands the listening socket on, as one process of the hub does to the next, and as a service manager does.
func TestTLSAdopts(t *testing.T) {
	for name, foreign := range map[string]bool{"of the process before": false, "of the service manager": true} {
		t.Run(name, func(t *testing.T) {
			noDescriptorsLeft(t)
			h := newTLSHub(t)
			fd, trace := h.Kept()
			if trace != "" {
				t.Errorf("the trace is %q", trace)
			}
			handed, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(h.Close(), unix.SetNonblock(handed, false)); err != nil {
				t.Fatal(err)
			}
			adopt, want := func(fd int) (endpoint.Listener, error) { return h.opener.Adopt(fd, h.spec, trace) }, ""
			if foreign {
				adopt, want = func(fd int) (endpoint.Listener, error) { return h.opener.AdoptForeign(fd, h.spec) }, endpoint.ForeignTrace
			}
			early := h.knockEarly()
			if h.Listener, err = adopt(handed); err != nil {
				t.Fatal(err)
			}
			if _, trace := h.Kept(); trace != want {
				t.Errorf("the trace is %q, want %q", trace, want)
			}
			if err := h.Listen(); err != nil {
				t.Fatal(err)
			}
			h.welcome()
			if err := <-early; err != nil {
				t.Error(err)
			}
		})
	}
}

// knockEarly connects while nobody accepts.
func (h *tlsHub) knockEarly() <-chan error {
	done := make(chan error, 1)
	config := h.config()
	go func() {
		conn, err := tls.Dial("tcp", h.where(), config)
		if err == nil {
			conn.Close()
		}
		done <- err
	}()
	return done
}
