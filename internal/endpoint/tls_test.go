package endpoint_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/endpoint"
	"serialhub/internal/testenv"
)

// tlsHub is an end that listens with TLS, and wants certificates of ca.
type tlsHub struct {
	t      *testing.T
	ca     *testenv.Authority
	spec   endpoint.Spec
	opener *endpoint.Opener
	endpoint.Listener
}

func newTLSHub(t *testing.T) *tlsHub {
	t.Helper()
	h := &tlsHub{t: t, ca: testenv.NewAuthority(t, "the authority"), opener: endpoint.NewOpener(nil)}
	h.spec = tlsSpec(t, freePort(t))
	own := h.ca.Issue(t, "hub", false)
	h.spec.TLS = endpoint.TLS{Cert: own.Cert, Key: own.Key, CA: h.ca.PEM}
	l, err := h.opener.Bind(h.spec)
	if err != nil {
		t.Fatal(err)
	}
	h.Listener = l
	t.Cleanup(func() {
		h.opener.CloseBridges(patience)
		h.Close()
	})
	if err := l.Listen(); err != nil {
		t.Fatal(err)
	}
	return h
}

func tlsSpec(t *testing.T, where string) endpoint.Spec {
	t.Helper()
	s := socket(t, "tls:"+where)
	s.KeepAlive = time.Minute
	return s
}

// freePort is an address on which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (h *tlsHub) where() string { return strings.TrimPrefix(h.spec.Address.String(), "tls:") }

// config is that of a client that the hub lets in.
func (h *tlsHub) config() *tls.Config {
	return &tls.Config{ServerName: "127.0.0.1", RootCAs: h.ca.Pool(), Certificates: []tls.Certificate{h.ca.Issue(h.t, "guest", false).Pair(h.t)}}
}

// connect is a client that the hub lets in, and its peer.
func (h *tlsHub) connect() (*tls.Conn, *relaySide) {
	h.t.Helper()
	conn := h.dial(h.config())
	return conn, h.welcome()
}

// dial connects and does the handshake.
func (h *tlsHub) dial(config *tls.Config) *tls.Conn {
	h.t.Helper()
	conn, err := tls.Dial("tcp", h.where(), config)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// next waits for what Accept has to tell.
func (h *tlsHub) next() (endpoint.Peer, error) {
	h.t.Helper()
	readyFor(h.t, h.FD(), unix.POLLIN)
	if !h.Waiting() {
		h.t.Error("the descriptor is readable, and nobody is waiting")
	}
	return h.Accept()
}

func (h *tlsHub) welcome() *relaySide {
	h.t.Helper()
	p, err := h.next()
	if err != nil {
		h.t.Fatal(err)
	}
	return relay(h.t, p)
}

// readyFor waits until a descriptor is.
func readyFor(t *testing.T, fd int, events int16) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
		if _, err := unix.Poll(fds, 1000); err == nil && fds[0].Revents&events != 0 {
			return
		}
	}
	t.Fatalf("descriptor %d did not become ready for %#x", fd, events)
}

// relaySide plays the relay.
type relaySide struct {
	t    *testing.T
	peer endpoint.Peer
	*os.File
}

func relay(t *testing.T, p endpoint.Peer) *relaySide {
	t.Helper()
	r := &relaySide{t: t, peer: p, File: os.NewFile(uintptr(p.FD), "relay")}
	t.Cleanup(func() { r.Close() })
	r.SetDeadline(time.Now().Add(patience))
	return r
}

// hangUp does what the relay does.
func (r *relaySide) hangUp() {
	r.peer.HangUp()
	r.Close()
}

// departure waits until the peer has left.
func (r *relaySide) departure() error {
	r.t.Helper()
	readyFor(r.t, r.peer.FD, unix.POLLHUP)
	if !r.peer.Gone() {
		r.t.Error("the peer has left, and is not gone")
	}
	return r.peer.Err()
}

// noise is data of which no part is like another.
func noise(seed uint64, size int) []byte {
	data := make([]byte, size)
	random := rand.NewChaCha8([32]byte{byte(seed)})
	random.Read(data)
	return data
}

// send writes in the background; what it returns waits for that.
func send(t *testing.T, to io.Writer, data []byte) (wait func()) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := to.Write(data)
		done <- err
	}()
	return func() {
		t.Helper()
		if err := <-done; err != nil {
			t.Errorf("could not write: %v", err)
		}
	}
}

// expect reads exactly that.
func expect(t *testing.T, from io.Reader, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(from, got); err != nil {
		t.Fatalf("read %d of %d bytes: %v", n, len(want), err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("what arrived is not what was sent")
	}
}

// expectLast reads exactly that, and the end of it.
func expectLast(t *testing.T, from io.Reader, want []byte) {
	t.Helper()
	got, err := io.ReadAll(from)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("read %d bytes, %v; want the %d that were sent, and the end", len(got), err, len(want))
	}
}

// noDescriptorsLeft is for tests of what ends in the background.
func noDescriptorsLeft(t *testing.T) {
	t.Helper()
	testenv.NoDescriptorsLeft(t)
	before := countDescriptors(t)
	t.Cleanup(func() {
		eventually(t, "descriptors are left", func() bool { return countDescriptors(t) == before })
	})
}

func countDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func eventually(t *testing.T, complaint string, happens func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !happens(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal(complaint)
		}
	}
}

func TestTLSPeer(t *testing.T) {
	noDescriptorsLeft(t)
	h := newTLSHub(t)
	if _, err := h.Accept(); !errors.Is(err, endpoint.ErrNoPeer) {
		t.Fatalf("Accept gave %v before anybody came", err)
	}
	conn, side := h.connect()
	want := endpoint.Credentials{Address: conn.LocalAddr().String(), Subject: "CN=guest"}
	if side.peer.Credentials != want || side.peer.Nature != endpoint.Local || side.peer.Via != h.spec.Via() {
		t.Errorf("the peer is %+v, want %+v", side.peer, want)
	}
	if version := conn.ConnectionState().Version; version != tls.VersionTLS13 {
		t.Errorf("the version is %x", version)
	}
	if h.Waiting() {
		t.Error("somebody is waiting still")
	}
	adjusted := h.spec
	adjusted.KeepAlive = time.Hour
	if err := side.peer.Adjust(adjusted); err != nil {
		t.Error(err)
	}
}

// TestTLSCarriesBothWays has nobody read for as long as anything can be written, so that all that is between is full.
func TestTLSCarriesBothWays(t *testing.T) {
	noDescriptorsLeft(t)
	h := newTLSHub(t)
	conn, side := h.connect()
	there, back := noise(1, 24<<20), noise(2, 24<<20)
	sentThere, sentBack := slowly(t, conn, there), slowly(t, side, back)
	sentThere.full()
	sentBack.full()
	expect(t, side, there)
	expect(t, conn, back)
	sentThere.wait()
	sentBack.wait()
}

// sending is data that is being written.
type sending struct {
	t    *testing.T
	all  int
	sent atomic.Int64
	wait func()
}

// slowly writes in the background, in pieces.
func slowly(t *testing.T, to io.Writer, data []byte) *sending {
	t.Helper()
	s := &sending{t: t, all: len(data)}
	s.wait = send(t, writerFunc(func(p []byte) (n int, err error) {
		for piece := range slices.Chunk(p, 10_000) {
			if _, err := to.Write(piece); err != nil {
				return n, err
			}
			n += len(piece)
			s.sent.Store(int64(n))
		}
		return n, nil
	}), data)
	return s
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// full waits until no more is taken.
func (s *sending) full() {
	s.t.Helper()
	for last := int64(-1); last != s.sent.Load(); <-time.After(300 * time.Millisecond) {
		last = s.sent.Load()
	}
	if s.sent.Load() == int64(s.all) {
		s.t.Error("everything was taken, though nobody reads")
	}
}

// TestTLSDeliversWhenTheRelayHangsUp has the relay leave with much on its way to a peer that says something meanwhile, and is slow.
func TestTLSDeliversWhenTheRelayHangsUp(t *testing.T) {
	noDescriptorsLeft(t)
	h := newTLSHub(t)
	conn, side := h.connect()
	last := noise(3, 300<<10)
	if _, err := conn.Write([]byte("nobody reads this")); err != nil {
		t.Fatal(err)
	}
	wait := send(t, side, last)
	expect(t, conn, last[:1000])
	wait()
	side.hangUp()
	expectLast(t, conn, last[1000:])
}

// TestTLSDeliversWhenThePeerLeaves has a peer leave that never reads, in each way that there is.
func TestTLSDeliversWhenThePeerLeaves(t *testing.T) {
	for name, leave := range map[string]func(*tls.Conn) error{
		"closes":                    (*tls.Conn).Close,
		"closes its half":           (*tls.Conn).CloseWrite,
		"closes without saying so":  func(c *tls.Conn) error { return c.NetConn().Close() },
		"closes half of the socket": func(c *tls.Conn) error { return c.NetConn().(*net.TCPConn).CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			noDescriptorsLeft(t)
			h := newTLSHub(t)
			conn, side := h.connect()
			last := noise(4, 1<<20)
			wait := send(t, conn, last)
			expect(t, side, last[:900<<10])
			wait()
			if err := leave(conn); err != nil {
				t.Fatal(err)
			}
			expectLast(t, side, last[900<<10:])
			if err := side.departure(); err != nil {
				t.Errorf("the departure is unclean: %v", err)
			}
		})
	}
}

// TestTLSAnswersAHalfClose checks that a peer that has nothing more to say still gets what was written to it before.
func TestTLSAnswersAHalfClose(t *testing.T) {
	noDescriptorsLeft(t)
	h := newTLSHub(t)
	conn, side := h.connect()
	last := noise(5, 100<<10)
	if _, err := side.Write(last); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := side.departure(); err != nil {
		t.Errorf("the departure is unclean: %v", err)
	}
	expectLast(t, conn, last)
}

func TestTLSResetIsADeparture(t *testing.T) {
	noDescriptorsLeft(t)
	h := newTLSHub(t)
	conn, side := h.connect()
	last := noise(6, 100<<10)
	if _, err := conn.Write(last); err != nil {
		t.Fatal(err)
	}
	expect(t, side, last)
	reset(t, conn)
	if err := side.departure(); !errors.Is(err, unix.ECONNRESET) || strings.Contains(err.Error(), "->") {
		t.Errorf("the peer has left with %v, want ECONNRESET, and no port", err)
	}
	expectLast(t, side, nil)
}

// reset has the kernel send a RST.
func reset(t *testing.T, conn *tls.Conn) {
	t.Helper()
	tcp := conn.NetConn().(*net.TCPConn)
	if err := errors.Join(tcp.SetLinger(0), tcp.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestTLSHeldBack has peers that are lost while the relay reads nothing. What has got as far as the pair can still be read.
func TestTLSHeldBack(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		lose   func(*testing.T, *tls.Conn)
		within time.Duration
		size   int // of what the relay has written meanwhile
		says   func(error) bool
	}{
		"reset":   {reset, 2 * time.Second, 0, func(err error) bool { return errors.Is(err, unix.ECONNRESET) }},
		"dead":    {func(t *testing.T, conn *tls.Conn) { mute(t, conn.NetConn().(*net.TCPConn)) }, 6 * time.Second, 0, isDead},
		"sent to": {func(t *testing.T, conn *tls.Conn) { mute(t, conn.NetConn().(*net.TCPConn)) }, 6 * time.Second, 1, isDead},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTLSHub(t)
			h.spec.KeepAlive = 2 * time.Second
			if err := h.Adjust(h.spec); err != nil {
				t.Fatal(err)
			}
			conn, side := h.connect()
			data := noise(16, 24<<20)
			sent := make(chan struct{})
			t.Cleanup(func() { conn.NetConn().Close(); <-sent })
			var taken atomic.Int64
			go func() {
				defer close(sent)
				for piece := range slices.Chunk(data, 10_000) {
					n, err := conn.Write(piece)
					if err != nil {
						return
					}
					taken.Add(int64(n))
				}
			}()
			for last := int64(-1); last != taken.Load(); <-time.After(2 * stallTime) {
				last = taken.Load()
			}
			inPair := side.peer.Unread()
			start := time.Now()
			test.lose(t, conn)
			if _, err := side.Write(make([]byte, test.size)); err != nil {
				t.Fatal(err)
			}
			if err := side.departure(); !test.says(err) {
				t.Errorf("the peer has left with %v", err)
			}
			if took := time.Since(start); took > test.within {
				t.Errorf("it took %v to find out", took)
			}
			got, err := io.ReadAll(side)
			if err != nil || len(got) < inPair || !bytes.Equal(got, data[:len(got)]) {
				t.Errorf("read %d bytes, %v; want at least %d, as they were sent", len(got), err, inPair)
			}
		})
	}
}

// stallTime is that of the bridge.
const stallTime = 500 * time.Millisecond

func isDead(err error) bool {
	var dead *endpoint.DeadError
	return errors.As(err, &dead) || errors.Is(err, unix.ETIMEDOUT)
}

// TestTLSHeldBackAndCloses has a peer leave cleanly that is held back for longer than it takes to notice one that is lost: nothing of what it has said
// is lost.
func TestTLSHeldBackAndCloses(t *testing.T) {
	noDescriptorsLeft(t)
	h := newTLSHub(t)
	conn, side := h.connect()
	last := noise(17, 1<<20)
	wait := send(t, conn, last)
	wait()
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-time.After(3 * stallTime):
	case <-t.Context().Done():
	}
	expectLast(t, side, last)
	if err := side.departure(); err != nil {
		t.Errorf("the departure is unclean: %v", err)
	}
}

// TestTLSPeerThatDoesNotRead has bridges end in time whose peer takes nothing.
func TestTLSPeerThatDoesNotRead(t *testing.T) {
	for name, limit := range map[string]struct{ closing, least, most time.Duration }{
		"by itself": {patience, 2 * time.Second, 15 * time.Second},
		"when told": {100 * time.Millisecond, 0, 2500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			noDescriptorsLeft(t)
			h := newTLSHub(t)
			_, side := h.connect()
			data := noise(7, 24<<20)
			written := make(chan struct{})
			side.SetWriteDeadline(time.Now().Add(time.Second))
			go func() { defer close(written); side.Write(data) }()
			<-written
			side.hangUp()
			start := time.Now()
			h.opener.CloseBridges(limit.closing)
			if took := time.Since(start); took < limit.least || took > limit.most {
				t.Errorf("the bridge has ended after %v, want %v to %v", took, limit.least, limit.most)
			}
		})
	}
}

// TestCloseBridgesDelivers closes them while the relay has its side still.
func TestCloseBridgesDelivers(t *testing.T) {
	noDescriptorsLeft(t)
	new(endpoint.Opener).CloseBridges(patience)
	h := newTLSHub(t)
	conn, side := h.connect()
	there, back := noise(8, 50<<10), noise(9, 50<<10)
	if _, err := conn.Write(there); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what the peer has sent does not arrive", func() bool { return side.peer.Unread() == len(there) })
	if _, err := side.Write(back); err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	go func() { defer close(closed); h.opener.CloseBridges(patience) }()
	expectLast(t, conn, back)
	conn.Close()
	<-closed
	expectLast(t, side, there)
}

// mute drops all that comes to a connection, as if its machine had lost its power. It never answers again.
func mute(t *testing.T, conn *net.TCPConn) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
	err = errors.Join(raw.Control(func(fd uintptr) {
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop[0]})
	}), err)
	if err != nil {
		t.Fatal(err)
	}
}

// TestTLSDeadPeer checks that a dead peer is found, whether something was sent to it or not, and that what it had said is not lost.
func TestTLSDeadPeer(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"idle": 0, "sent to": 1, "full": 24 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTLSHub(t)
			h.spec.KeepAlive = 2 * time.Second
			if err := h.Adjust(h.spec); err != nil {
				t.Fatal(err)
			}
			conn, side := h.connect()
			last := []byte("farewell")
			if _, err := conn.Write(last); err != nil {
				t.Fatal(err)
			}
			eventually(t, "what the peer has sent does not arrive", func() bool { return side.peer.Unread() == len(last) })
			mute(t, conn.NetConn().(*net.TCPConn))
			start := time.Now()
			written := make(chan struct{})
			go func() { defer close(written); side.Write(make([]byte, size)) }()
			err := side.departure()
			var dead *endpoint.DeadError
			if !errors.As(err, &dead) && !errors.Is(err, unix.ETIMEDOUT) || size > 0 && dead == nil {
				t.Errorf("the peer has left with %v", err)
			}
			if took := time.Since(start); took > 6*time.Second {
				t.Errorf("it took %v to find out", took)
			}
			<-written
			expectLast(t, side, last)
		})
	}
}

// TestTLSPeerWithoutRoomIsAlive checks that nobody is taken for dead who reads nothing.
func TestTLSPeerWithoutRoomIsAlive(t *testing.T) {
	t.Parallel()
	h := newTLSHub(t)
	h.spec.KeepAlive = 2 * time.Second
	if err := h.Adjust(h.spec); err != nil {
		t.Fatal(err)
	}
	conn, side := h.connect()
	data := noise(10, 24<<20)
	sent := slowly(t, side, data)
	sent.full()
	select {
	case <-time.After(5 * time.Second):
	case <-t.Context().Done():
	}
	expect(t, conn, data)
	sent.wait()
}

// file writes PEM for openssl.
func file(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pem")
	testenv.WriteFile(t, path, text)
	return path
}
