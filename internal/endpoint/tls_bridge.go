package endpoint

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// bridgeBuffer is what a bridge reads at once in each direction: what fits into a record of TLS.
	bridgeBuffer = 16 << 10
	// bridgeGrace is how long a bridge goes on that one side has left, to deliver to the other what was said.
	bridgeGrace = 3 * time.Second
)

// bridges are the TLS connections that this process works for. All methods are safe to call from any goroutine.
type bridges struct {
	mu     sync.Mutex
	open   map[*bridge]struct{}
	reopen chan struct{} // after HoldBridges, until OpenBridges closes it; else nil
}

// errNoBridges says that this process makes no bridges any more, because another is about to take its place.
var errNoBridges = errors.New("the hub ends, or is being replaced; come again")

func newBridges() *bridges { return &bridges{open: map[*bridge]struct{}{}} }

// CloseBridges ends what this process does for peers with TLS, whether the relay has closed its side or not: what was written to them is delivered,
// and what has come from them can still be read. Whoever has not taken it within the timeout is cut off. It blocks until all have ended.
func (o *Opener) CloseBridges(timeout time.Duration) {
	if o.bridges == nil {
		return
	}
	all := o.bridges.list()
	for _, b := range all {
		b.hangUp()
	}
	late := time.After(timeout)
	for _, b := range all {
		select {
		case <-b.done:
		case <-late:
			late = nil
			for _, slow := range all {
				slow.tcp.Close() //nolint:errcheck // it may be closed
			}
			<-b.done
		}
	}
}

// HoldBridges lets nobody with TLS in any more until OpenBridges, because another process is about to take the place of this one.
func (o *Opener) HoldBridges() {
	o.bridges.mu.Lock()
	defer o.bridges.mu.Unlock()
	if o.bridges.reopen == nil {
		o.bridges.reopen = make(chan struct{})
	}
}

// OpenBridges lets them in again, if this process goes on.
func (o *Opener) OpenBridges() {
	o.bridges.mu.Lock()
	defer o.bridges.mu.Unlock()
	if o.bridges.reopen != nil {
		close(o.bridges.reopen)
		o.bridges.reopen = nil
	}
}

func (s *bridges) list() (all []*bridge) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for b := range s.open {
		all = append(all, b)
	}
	return all
}

// wait blocks until bridges can be made, or ctx ends.
func (s *bridges) wait(ctx context.Context) error {
	s.mu.Lock()
	reopen := s.reopen
	s.mu.Unlock()
	if reopen == nil {
		return nil
	}
	select {
	case <-reopen:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// add returns false if nobody may come in any more.
func (s *bridges) add(b *bridge) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reopen != nil {
		return false
	}
	s.open[b] = struct{}{}
	return true
}

func (s *bridges) remove(b *bridge) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, b)
}

// join makes the Peer of a TLS connection whose handshake is done. It owns the connection, also if it returns an error, such as errNoBridges.
func (s *bridges) join(conn *tls.Conn, spec Spec) (Peer, error) {
	tcp := conn.NetConn().(*patientConn) // see dialTLS and tlsListener
	where := tcp.RemoteAddr().String()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		conn.Close() //nolint:errcheck // it has carried nothing
		return Peer{Credentials: Credentials{Address: where}}, fmt.Errorf("%s: %w", spec.Address, os.NewSyscallError("socketpair", err))
	}
	b := &bridge{spec: spec, conn: conn, tcp: tcp, near: os.NewFile(uintptr(pair[1]), "bridge"), done: make(chan struct{})}
	limit := aliveTime(spec)
	b.limit.Store(int64(limit))
	b.pulse = time.NewTicker(limit / Looks)
	tcp.stalled = b.stalled
	if !s.add(b) {
		b.pulse.Stop()
		b.near.Close()      //nolint:errcheck // it has carried nothing
		unix.Close(pair[0]) // likewise
		conn.Close()        //nolint:errcheck // likewise
		return Peer{Credentials: Credentials{Address: where}}, fmt.Errorf("%s: %w", spec.Address, errNoBridges)
	}
	go func() {
		defer s.remove(b)
		b.run()
	}()
	return Peer{FD: pair[0], Via: spec.Via(), Credentials: Credentials{Address: where, Subject: subject(conn)}, bridge: b}, nil
}

// bridge carries bytes between a TLS connection and a pair of unix sockets. It owns the connection and the near side of the pair; the far side
// is the Peer's. Each direction has a goroutine and a buffer, and blocks while its receiver takes nothing.
//
// When either side leaves, the pair is hung up: the relay cannot write any more and sees the departure, and what it has written can still be
// read from the near side. So there is one way to the end for both.
type bridge struct {
	spec Spec // by which it was made
	conn *tls.Conn
	tcp  *patientConn // below conn
	near *os.File
	done chan struct{} // closed when everything is

	limit atomic.Int64 // time.Duration within which a dead peer is found
	pulse *time.Ticker

	hint  atomic.Pointer[error] // why the peer may leave, if it does not say itself
	cause atomic.Pointer[error] // why it has left; set before the relay can see that

	last  sync.Once
	grace *time.Timer // made by last
}

// run blocks until both directions have ended, and closes everything.
func (b *bridge) run() {
	defer close(b.done)
	over := make(chan struct{})
	var sending, watching sync.WaitGroup
	watching.Go(func() { b.watch(over) })
	sending.Go(b.send)
	b.receive()
	sending.Wait()
	close(over)
	watching.Wait()
	b.pulse.Stop()
	b.grace.Stop() // receive has set it
	b.tcp.Close()  //nolint:errcheck // all that could be delivered has been
	// With something unread in it, the relay would find a reset in the place of the end.
	io.Copy(io.Discard, b.near) //nolint:errcheck // it is hung up, so this ends
	b.near.Close()              //nolint:errcheck // nothing is left in it
}

// send carries what the relay writes to the peer.
func (b *bridge) send() {
	buf := make([]byte, bridgeBuffer)
	said := false
	for {
		n, err := b.near.Read(buf)
		if n > 0 {
			said = true
			if _, err := b.conn.Write(buf[:n]); err != nil {
				b.fail(err)
				return
			}
		}
		if err != nil {
			break // hung up, and all is read
		}
	}
	b.hurry()
	b.conn.CloseWrite() //nolint:errcheck // it may have gone
	if !said {
		b.tcp.Close() //nolint:errcheck // likewise; a peer that was turned away need not be waited for
		return
	}
	// After this the peer closes its side, when it has read all. Closing this one before it has would throw away what it has not read yet, if
	// it has said something meanwhile.
	b.tcp.CloseWrite() //nolint:errcheck // likewise
}

// receive carries what the peer says to the relay, until the peer has nothing more to say, also if that cannot be handed on any more.
func (b *bridge) receive() {
	buf := make([]byte, bridgeBuffer)
	wanted := true
	for {
		n, err := b.conn.Read(buf)
		if n > 0 && wanted && !b.give(buf[:n]) {
			wanted = false
			b.hurry()
		}
		if err != nil {
			b.depart(err)
			return
		}
	}
}

// give hands on to the relay what the peer has said. While the relay holds the peer back, nobody reads the connection; so this looks now and then
// whether it is still there. It returns false if the relay has hung up, or the connection is broken: what has not been handed on is lost then.
func (b *bridge) give(p []byte) bool {
	for {
		if err := b.near.SetWriteDeadline(time.Now().Add(stallTime)); err != nil {
			return false
		}
		n, err := b.near.Write(p)
		p = p[n:]
		if err == nil {
			return true
		}
		if !isTimeout(err) || b.broken() {
			return false
		}
	}
}

// broken tells whether nothing more can come, because the connection was reset or is dead, or is closed. The end of what a peer says is no reason: all
// before that is delivered.
func (b *bridge) broken() bool {
	raw, err := b.tcp.SyscallConn()
	if err != nil || b.hint.Load() != nil {
		return true
	}
	lost := false
	err = raw.Control(func(fd uintptr) { lost = poll(int(fd), 0)&(unix.POLLERR|unix.POLLHUP) != 0 })
	return err != nil || lost
}

// depart hangs the relay up when the peer has left.
func (b *bridge) depart(err error) {
	why, hint := ended(b.spec, err), b.hint.Load()
	if hint != nil && (why == nil || isHangUp(err)) {
		why = *hint
	}
	if why != nil {
		b.cause.Store(&why)
	}
	b.hangUp()
	if hint != nil {
		b.tcp.Close() //nolint:errcheck // nothing can be delivered any more
	}
}

// fail ends the connection for a reason that the other direction cannot know. What has come from the peer is delivered still, unless it is held back.
func (b *bridge) fail(err error) {
	if err = ended(b.spec, err); err != nil {
		b.hint.CompareAndSwap(nil, &err)
	}
	b.tcp.CloseRead() //nolint:errcheck // it may be closed
}

// hangUp ends the pair for both sides; what is in it can still be read on both.
func (b *bridge) hangUp() {
	b.hurry()
	b.control(func(fd int) { unix.Shutdown(fd, unix.SHUT_RDWR) })
}

// hurry sets the bridge an end.
func (b *bridge) hurry() {
	b.last.Do(func() {
		b.grace = time.AfterFunc(bridgeGrace, func() { b.tcp.Close() }) //nolint:errcheck // it may be closed
	})
}

// stalled is called while the peer takes nothing: then nobody reads the pair, and this is how it is seen that the relay has hung up.
func (b *bridge) stalled() {
	b.control(func(fd int) {
		if poll(fd, 0)&unix.POLLHUP != 0 {
			b.hurry()
		}
	})
}

func (b *bridge) control(do func(fd int)) {
	raw, err := b.near.SyscallConn()
	if err == nil {
		raw.Control(func(fd uintptr) { do(int(fd)) }) //nolint:errcheck // it fails once the bridge is over
	}
}

// watch finds out whether the peer is dead.
func (b *bridge) watch(over <-chan struct{}) {
	raw, err := b.tcp.SyscallConn()
	if err != nil {
		return // it is closed
	}
	var pulse Pulse
	for {
		select {
		case <-over:
			return
		case <-b.pulse.C:
		}
		limit := time.Duration(b.limit.Load())
		var dead error
		raw.Control(func(fd uintptr) { dead = pulse.Feel(int(fd), limit) }) //nolint:errcheck // it may be closed
		if dead != nil {
			b.fail(dead)
		}
	}
}

// aliveTime is the time within which a dead peer has to be found; keepAlive knows no shorter one either.
func aliveTime(s Spec) time.Duration { return max(s.KeepAlive, 2*time.Second) }

// adjust takes over what differs in the spec of the same address.
func (b *bridge) adjust(s Spec) error {
	limit := aliveTime(s)
	b.limit.Store(int64(limit))
	b.pulse.Reset(limit / Looks)
	raw, err := b.tcp.SyscallConn()
	if err != nil {
		return err
	}
	raw.Control(func(fd uintptr) { err = keepAlive(int(fd), s.KeepAlive) }) //nolint:errcheck // it may have ended meanwhile
	return err
}

// err tells why the peer has left; nil if it has closed cleanly, or is there.
func (b *bridge) err() error {
	if why := b.cause.Load(); why != nil {
		return *why
	}
	return nil
}
