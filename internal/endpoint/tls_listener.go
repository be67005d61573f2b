package endpoint

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// greetings is how many handshakes there are at once. Who comes then waits.
	greetings = 64
	// silence is how long a peer may say nothing at all while others wait for a handshake, and fairShare how long its own may take then.
	silence, fairShare = time.Second, 5 * time.Second
	// arrivals is how many peers are kept that are ready to be accepted.
	arrivals = 128
	// acceptRest is how long nobody is let in after accept(2) has failed.
	acceptRest = 500 * time.Millisecond
)

// tlsListener accepts the peers of one end on a TCP socket, and does the handshake with each before it hands it out. Goroutines do both, from
// Listen to Close.
type tlsListener struct {
	socket  // the TCP socket
	opener  *Opener
	terms   atomic.Pointer[terms]
	counter int // an eventfd that counts who is in queue
	queue   chan arrival
	slots   chan struct{} // one for each handshake
	crowded chan struct{} // whoever receives from it gives up its handshake for somebody who waits
	running sync.WaitGroup
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	taker   *net.TCPListener // on the same socket; nil before Listen
	over    error            // what Accept returned when the socket was shut down, and returns since
}

// terms are what handshakes to come are done by.
type terms struct {
	spec   Spec
	config *tls.Config
}

// arrival is a connection whose handshake is done, or an error.
type arrival struct {
	conn *tls.Conn
	spec Spec
	err  error
}

// bindTLS makes the socket.
func (o *Opener) bindTLS(s Spec) (Listener, error) {
	if _, err := s.serverConfig(); err != nil {
		return nil, err
	}
	fd, err := tcpSocket(s.Address)
	if err != nil {
		return nil, err
	}
	return o.adoptTLS(fd, s, false)
}

// adoptTLS makes a Listener of a TCP socket that is bound. It owns the descriptor, also if it returns an error.
func (o *Opener) adoptTLS(fd int, s Spec, foreign bool) (Listener, error) {
	l := &tlsListener{
		socket: socket{fd: fd, name: s.Address.String(), foreign: foreign}, opener: o,
		queue: make(chan arrival, arrivals), slots: make(chan struct{}, greetings), crowded: make(chan struct{}),
	}
	err := l.Adjust(s)
	if err == nil {
		l.counter, err = unix.Eventfd(0, unix.EFD_SEMAPHORE|unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
		err = os.NewSyscallError("eventfd", err)
	}
	if err != nil {
		unix.Close(fd) // nobody listens on it
		return nil, err
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l, nil
}

// Listen lets peers connect from now on.
func (l *tlsListener) Listen() error {
	if err := l.socket.Listen(); err != nil || l.taker != nil {
		return err
	}
	own, err := unix.FcntlInt(uintptr(l.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(own), l.name)
	defer file.Close() //nolint:errcheck // the taker has a descriptor of its own
	taker, err := net.FileListener(file)
	if err != nil {
		return fmt.Errorf("%s: %w", l.name, err)
	}
	l.taker = taker.(*net.TCPListener) // of a TCP socket there is no other
	l.running.Go(l.take)
	return nil
}

// errShut says that the socket does not listen any more, and never will.
var errShut = errors.New("the socket has been shut down by another program that has it, such as the service manager; restart that one's socket unit")

// take accepts connections until Close, or until somebody else shuts the socket down.
func (l *tlsListener) take() {
	rests := false // it has failed, and that is known
	for l.ctx.Err() == nil {
		tcp, err := l.taker.AcceptTCP()
		if errors.Is(err, unix.EINVAL) && l.ctx.Err() == nil {
			l.arrive(arrival{err: fmt.Errorf("%s: %w (%w)", l.name, errShut, err)})
			return
		}
		if err != nil {
			if !rests && l.ctx.Err() == nil {
				l.arrive(arrival{err: fmt.Errorf("%s: %w", l.name, err)})
			}
			rests = true
			l.rest()
			continue
		}
		rests = false
		if !l.makeRoom() {
			tcp.Close() //nolint:errcheck // it has carried nothing
			return
		}
		l.running.Go(func() {
			defer func() { <-l.slots }()
			l.greet(tcp)
		})
	}
}

// makeRoom waits for a slot. If all are taken, the handshake that has been yielding for longest is given up. It returns false after Close.
func (l *tlsListener) makeRoom() bool {
	select {
	case l.slots <- struct{}{}:
		return true
	default:
	}
	select {
	case l.slots <- struct{}{}:
		return true
	case l.crowded <- struct{}{}: // of all who receive, the first who began to
	case <-l.ctx.Done():
		return false
	}
	select {
	case l.slots <- struct{}{}:
		return true
	case <-l.ctx.Done():
		return false
	}
}

// errCrowded is why a handshake was given up.
var errCrowded = errors.New("others are waiting for theirs")

// yielding is a context that ends with errCrowded if room is needed for others, once the handshake has had its share of time.
func (l *tlsListener) yielding(tcp *net.TCPConn) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(l.ctx)
	yield := func() {
		select {
		case <-l.crowded:
			cancel(errCrowded)
		case <-ctx.Done():
		}
	}
	late := time.AfterFunc(fairShare, yield)
	silent := time.AfterFunc(silence, func() {
		if !hasSpoken(tcp) && late.Stop() {
			yield()
		}
	})
	return ctx, func() { silent.Stop(); late.Stop(); cancel(nil) }
}

// hasSpoken tells whether anything has come from a peer, read or not: if many come at once, it is this side that takes long.
func hasSpoken(tcp *net.TCPConn) (spoken bool) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false
	}
	raw.Control(func(fd uintptr) { //nolint:errcheck // it fails only for one that is closed
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		spoken = err == nil && info.Bytes_received > 0
	})
	return spoken
}

// rest waits before accept(2) is tried again.
func (l *tlsListener) rest() {
	timer := time.NewTimer(acceptRest)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.ctx.Done():
	}
}

// greet does the handshake with somebody who has connected.
func (l *tlsListener) greet(tcp *net.TCPConn) {
	now := l.terms.Load()
	conn := tls.Server(&patientConn{TCPConn: tcp}, now.config)
	err := prepareConn(tcp, now.spec)
	if err == nil {
		ctx, stop := l.yielding(tcp)
		err = handshake(ctx, conn)
		stop()
	}
	if err != nil {
		tcp.Close() //nolint:errcheck // it is of no use
		l.arrive(arrival{err: &RefusedError{Peer: Credentials{Address: tcp.RemoteAddr().String()}, Err: unwelcome(now.spec, err)}})
		return
	}
	l.arrive(arrival{conn: conn, spec: now.spec})
}

// arrive waits for room in the queue. If Close comes first, the connection is closed.
func (l *tlsListener) arrive(a arrival) {
	select {
	case l.queue <- a:
		one := binary.NativeEndian.AppendUint64(nil, 1)
		unix.Write(l.counter, one) //nolint:errcheck // it fails only with 2^64-2 in the queue
	case <-l.ctx.Done():
		a.close()
	}
}

func (a arrival) close() {
	if a.conn != nil {
		a.conn.NetConn().Close() //nolint:errcheck // it has carried nothing
	}
}

// FD is a descriptor, to be polled, that is readable while somebody is ready to be accepted; it stays the Listener's.
func (l *tlsListener) FD() int { return l.counter }

// Waiting tells whether somebody is ready to be accepted.
func (l *tlsListener) Waiting() bool { return poll(l.counter, unix.POLLIN) != 0 }

// Accept takes the next peer whose handshake is done, or the error of one whose handshake has failed. It never blocks: without one it returns
// ErrNoPeer. A socket that somebody else has shut down gives that error each time.
func (l *tlsListener) Accept() (Peer, error) {
	var one [8]byte
	if _, err := unix.Read(l.counter, one[:]); err != nil {
		if l.over != nil {
			return Peer{}, l.over
		}
		return Peer{}, ErrNoPeer
	}
	a := <-l.queue // it was there before it was counted
	if errors.Is(a.err, errShut) {
		l.over = a.err
	}
	if a.err != nil {
		return Peer{}, a.err
	}
	p, err := l.opener.bridges.join(a.conn, a.spec)
	if err != nil {
		return Peer{}, &RefusedError{Peer: p.Credentials, Err: err}
	}
	return p, nil
}

// Adjust takes over certificates, authorities, versions and keepalive for the peers to come. With an error, what was goes on.
func (l *tlsListener) Adjust(s Spec) error {
	config, err := s.serverConfig()
	if err != nil {
		return err
	}
	l.terms.Store(&terms{spec: s, config: config})
	return nil
}

// Close stops listening, and hangs up on whoever is not accepted yet. It does not wait until all that has ended, as the loop may call it; nobody can
// connect any more when it returns.
func (l *tlsListener) Close() error {
	l.cancel()
	var err error
	if l.taker != nil {
		err = l.taker.Close()
	}
	go func() {
		l.running.Wait()
		close(l.queue)
		for a := range l.queue {
			a.close()
		}
		unix.Close(l.counter) // nobody waits for it any more
	}()
	return errors.Join(err, l.socket.Close())
}
