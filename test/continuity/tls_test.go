package continuity

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"serialhub/internal/testenv"
)

// The hub cannot keep a connection with TLS: its keys are in the process. But it keeps everything else: the backlog, the peer at the other end, and
// what it had decrypted.

// certify writes a certificate for the name “hub”, its key, and the certificate of its authority to c.pem, k.pem and ca.pem of the service. What it
// returns has the certificate and trusts the authority, so it is for either side.
func (s *service) certify() *tls.Config {
	s.t.Helper()
	authority := testenv.NewAuthority(s.t, "the authority")
	own := authority.Issue(s.t, "hub", false)
	own.Write(s.t, s.path("c.pem"), s.path("k.pem"))
	testenv.WriteFile(s.t, s.path("ca.pem"), authority.PEM)
	return &tls.Config{RootCAs: authority.Pool(), ServerName: "hub", MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own.Pair(s.t)}}
}

// secured is an end with TLS.
type secured struct {
	link    string
	listens bool
	connect func() net.Conn             // of TCP; it succeeds also while there is no hub, unless that is who connects
	secure  func(tcp net.Conn) net.Conn // does the handshake
}

func (e secured) join() net.Conn { return e.secure(e.connect()) }

// eachTLS runs a test for both ways of an end with TLS, and each interruption.
func eachTLS(t *testing.T, test func(t *testing.T, s *service, cause interruption, end secured)) {
	t.Run("listen", func(t *testing.T) {
		eachOf(t, interruptions(), func(t *testing.T, s *service, cause interruption) {
			address, config := loopback(), s.certify()
			test(t, s, cause, secured{
				listens: true,
				link:    fmt.Sprintf("  - {name: dbg, a: {listen: %q, cert: c.pem, key: k.pem}, b: b}\n", "tls:"+address),
				connect: func() net.Conn { return s.dialTCP(address) },
				secure:  func(tcp net.Conn) net.Conn { return shakeHands(t, tls.Client(tcp, config)) },
			})
		})
	})
	t.Run("connect", func(t *testing.T) {
		eachOf(t, interruptions(), func(t *testing.T, s *service, cause interruption) {
			address, config := loopback(), s.certify()
			server := serve(t, "tcp", address)
			test(t, s, cause, secured{
				link:    fmt.Sprintf("  - {name: dbg, a: {connect: %q, ca: ca.pem, server_name: hub}, b: b}\n", "tls:"+address),
				connect: server.accept,
				secure:  func(tcp net.Conn) net.Conn { return shakeHands(t, tls.Server(tcp, config)) },
			})
		})
	})
}

func shakeHands(t *testing.T, peer *tls.Conn) net.Conn {
	t.Helper()
	peer.SetDeadline(time.Now().Add(patience))
	if err := peer.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	peer.SetDeadline(time.Time{})
	return peer
}

// TestTLSPeerComesAgain interrupts the hub: its peer with TLS is told so, if there is time, and can come again at once. The other one stays.
func TestTLSPeerComesAgain(t *testing.T) {
	eachTLS(t, func(t *testing.T, s *service, cause interruption, end secured) {
		s.begin(end.link)
		if end.listens {
			s.ready()
		}
		a, b := end.join(), s.dialOnceOpen("dbg", "b", "b")
		s.waitState("dbg", "up")
		converse(t, a, b)
		say(t, a, "the last words")
		s.waitLink("dbg", "told the last words", func(status linkStatus) bool {
			return status.Ends["a"].ReceivedBytes == int64(len("from a to b")+len("the last words"))
		})
		ended := make(chan error, 1)
		go func() {
			a.SetReadDeadline(time.Now().Add(patience))
			_, err := a.Read(make([]byte, 1))
			a.Close()
			ended <- err
		}()
		var next net.Conn
		early := end.listens && !cause.replace
		cause.during(s, func() {
			if early {
				next = end.connect()
			}
		})
		err := <-ended
		if cause.name == "kill" && (err == nil || errors.Is(err, os.ErrDeadlineExceeded)) || cause.name != "kill" && !errors.Is(err, io.EOF) {
			t.Errorf("the peer gets %v", err)
		}
		if !early {
			next = end.connect()
		}
		next = end.secure(next)
		hear(t, b, "the last words")
		s.waitState("dbg", "up")
		converse(t, next, b)
	})
}

// TestTLSPeersWordsAreKept interrupts a hub that has decrypted more than the peer at the other end has taken: that gets all of it, and then what is
// said next.
func TestTLSPeersWordsAreKept(t *testing.T) {
	eachTLS(t, func(t *testing.T, s *service, cause interruption, end secured) {
		if !*full && !end.listens {
			t.Skip("a peer that takes nothing is waited for: only at full size")
		}
		const marker = "and here is who has come again"
		s.begin(end.link)
		if end.listens {
			s.ready()
		}
		a, b := end.join(), s.dialOnceOpen("dbg", "b", "b")
		s.waitState("dbg", "up")
		all := &stream{from: a, seed: 7, size: 32 << 20}
		sent := make(chan error, 1)
		go func() { sent <- all.send() }()
		read := s.waitStill("dbg", "a")
		cause.happen(s)
		next := make(chan net.Conn, 1)
		go func() {
			<-sent // as far as it came
			a.Close()
			peer := end.join()
			say(t, peer, marker)
			next <- peer
		}()
		var got []byte
		piece := make([]byte, 64<<10)
		for !bytes.HasSuffix(got, []byte(marker)) {
			b.SetReadDeadline(time.Now().Add(patience))
			n, err := b.Read(piece)
			if err != nil {
				t.Fatalf("after %d bytes: %v", len(got), err)
			}
			got = append(got, piece[:n]...)
		}
		got = got[:len(got)-len(marker)]
		text := make([]byte, all.size)
		all.bytes().Read(text)
		if !bytes.HasPrefix(text, got) {
			t.Errorf("came %d bytes that are not the first ones", len(got))
		}
		if int64(len(got)) <= read {
			t.Errorf("the hub had read %d bytes, and more was ready to be read; %d arrived", read, len(got))
		}
		t.Logf("the hub had read %d bytes, and %d arrived", read, len(got))
		say(t, b, "and back")
		hear(t, <-next, "and back")
	})
}

// waitStill waits until nothing more comes from an end, and returns how much has.
func (s *service) waitStill(link, end string) (read int64) {
	s.t.Helper()
	since := time.Now()
	s.waitLink(link, "full", func(status linkStatus) bool {
		if now := status.Ends[end].ReceivedBytes; now != read || now == 0 {
			read, since = now, time.Now()
		}
		return time.Since(since) > 100*time.Millisecond
	})
	return read
}

// TestSlowTLSPeerHoldsUpNobody ends a hub with a peer that does not answer when it is told of the end: bytes flow over other links while that is
// waited for.
func TestSlowTLSPeerHoldsUpNobody(t *testing.T) {
	eachOf(t, interruptions()[1:3], func(t *testing.T, s *service, cause interruption) {
		address, config := loopback(), s.certify()
		s.begin(fmt.Sprintf("  - {name: slow, a: {listen: %q, cert: c.pem, key: k.pem}, b: c}\n", "tls:"+address) + oneLink)
		s.ready()
		shakeHands(t, tls.Client(s.dialTCP(address), config)) // and reads nothing
		s.waitState("slow", "half")
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		quit, longest := make(chan struct{}), make(chan time.Duration, 1)
		go func() {
			var most time.Duration
			defer func() { longest <- most }()
			for {
				select {
				case <-quit:
					return
				default:
					start := time.Now()
					converse(t, a, b)
					most = max(most, time.Since(start))
				}
			}
		}()
		cause.happen(s)
		s.ready()
		close(quit)
		most := <-longest
		t.Logf("the longest standstill was %v", most)
		if most > time.Second {
			t.Errorf("bytes stood still for %v", most)
		}
	})
}
