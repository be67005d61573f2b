package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/endpoint"
	"serialhub/internal/relay"
)

const (
	// attachedVia is by what a peer has come that the hub itself has made for a caller. No end is called so, and it does not outlive the
	// process.
	attachedVia = "attach"
	// readTime is how long Say waits for a peer that takes nothing.
	readTime = 5 * time.Second
)

// Why nobody could be attached to an end.
var (
	ErrBusy   = relay.ErrBusy
	ErrDevice = errors.New("there is always one peer there, the terminal or the serial port")
	ErrIdle   = errors.New("the link does not run; start it, or see its last error")
)

// Attached is the caller's side of a peer that the hub has made for it. The caller closes it.
type Attached struct {
	*net.UnixConn // ends when the hub closes the peer
	why           chan error
}

// Why is why the hub has closed the peer; nil if it cannot be told. It may block for a moment.
func (a *Attached) Why() error {
	select {
	case err := <-a.why:
		return err
	case <-time.After(whyTime):
		return nil
	}
}

// whyTime is how long it takes at most until a link has heard of a departure from its wire.
const whyTime = time.Second

// guests are the peers that are attached to a link, by relay's id.
type guests struct {
	mu  sync.Mutex
	why map[uint64]chan error
}

// left tells a guest why he has had to leave. Of others it knows nothing.
func (g *guests) left(id uint64, why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if guest := g.why[id]; guest != nil {
		guest <- why
		delete(g.why, id)
	}
}

// Attach makes the caller the peer of an end, through the connection that it returns. A peer that is there is closed for it if replace is
// true, else ErrBusy is returned.
func (s *Supervisor) Attach(ctx context.Context, name string, side relay.Side, who endpoint.Credentials, replace bool) (*Attached, error) {
	l, err := s.find(name)
	if err != nil {
		return nil, err
	}
	attached, err := l.attach(ctx, side, who, replace)
	if err != nil {
		return nil, fmt.Errorf("end %s of link %s: %w", side, name, err)
	}
	return attached, nil
}

func (l *link) attach(ctx context.Context, side relay.Side, who endpoint.Credentials, replace bool) (*Attached, error) {
	wire, err := l.running(ctx)
	if err != nil {
		return nil, err
	}
	if way := l.snapshot().Ends[side].Way; way != "listen" && way != "connect" {
		return nil, ErrDevice
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	file := os.NewFile(uintptr(fds[1]), "attached")
	either, err := net.FileConn(file)
	err = errors.Join(err, file.Close())
	conn, _ := either.(*net.UnixConn) // there is none with an error
	attached := &Attached{conn, make(chan error, 1)}
	if err == nil {
		err = l.guests.let(attached, func() (uint64, error) {
			return wire.Attach(side, endpoint.Peer{FD: fds[0], Via: attachedVia, Credentials: who}, replace)
		})
	}
	if err != nil {
		unix.Close(fds[0]) // nobody has it
		if conn != nil {
			conn.Close() //nolint:errcheck // nothing has crossed it
		}
		return nil, err
	}
	return attached, nil
}

// let lets a guest in, who is known before anybody hears of his departure.
func (g *guests) let(guest *Attached, in func() (id uint64, err error)) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	id, err := in()
	if err != nil {
		return err
	}
	if g.why == nil {
		g.why = map[uint64]chan error{}
	}
	g.why[id] = guest.why
	return nil
}

// running is the link's wire. A link that is just being started is waited for.
func (l *link) running(ctx context.Context) (*relay.Link, error) {
	for start := time.Now(); ; {
		if wire := l.wire.Load(); wire != nil {
			return wire, nil
		}
		if l.snapshot().State != LinkStarting || time.Since(start) > readTime {
			return nil, ErrIdle
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Say says data to the peer at an end, as if the peer at the other one had; where there is one, only if inject is true. It waits until the peer
// takes it. It returns ErrNoLink, or relay.ErrNobody, ErrTaken or ErrNoRead.
func (s *Supervisor) Say(ctx context.Context, name string, to relay.Side, data []byte, inject bool) error {
	l, err := s.find(name)
	if err != nil {
		return err
	}
	if err := l.say(ctx, to, data, inject); err != nil {
		return fmt.Errorf("end %s of link %s: %w", to, name, err)
	}
	return nil
}

func (l *link) say(ctx context.Context, to relay.Side, data []byte, inject bool) error {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	size := len(data)
	for {
		wire, err := l.running(ctx)
		if err != nil {
			return err
		}
		n, err := wire.Say(to, data, inject)
		if data = data[n:]; len(data) == 0 {
			return nil
		}
		if err == nil {
			select {
			case <-time.After(time.Millisecond):
				continue
			case <-ctx.Done():
				err = relay.ErrNoRead
			}
		}
		if len(data) < size {
			return fmt.Errorf("%w; the first %d of %d bytes were said", err, size-len(data), size)
		}
		return err
	}
}
