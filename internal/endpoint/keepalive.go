package endpoint

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// tcpRTOMax is TCP_RTO_MAX_MS of linux/tcp.h: the longest pause, in milliseconds, until something is sent again. The kernel takes 1 s to 120 s.
const tcpRTOMax = 44

// probes is how many times in a row an idle peer may leave the kernel's question unanswered, if there is time for so many.
const probes = 3

// keepAlive has the kernel find a dead peer within limit while nothing is sent to it: it asks after half of that, and then some times
// more (tcp(7)).
//
// TCP_USER_TIMEOUT would find one as well to which something has been sent. But it also ends the connection of a peer that is alive and reads
// nothing for so long, such as a debugger that its user has left: that is what Pulse is for.
func keepAlive(fd int, limit time.Duration) error {
	seconds := max(int(limit.Seconds()), 2)
	rest := seconds / 2 // after the silence that makes it ask
	interval := max(rest/probes, 1)
	for _, option := range []struct {
		name       string
		level, opt int
		value      int
	}{
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds - rest},
		{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, interval},
		{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, min(rest/interval, probes)},
	} {
		if err := unix.SetsockoptInt(fd, option.level, option.opt, option.value); err != nil {
			return os.NewSyscallError("setsockopt "+option.name, err)
		}
	}
	// A peer without room is asked after ever longer pauses, of up to two minutes; whether it is still alive is not known meanwhile.
	err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, tcpRTOMax, min(max(rest, 1), 120)*1000)
	if errors.Is(err, unix.ENOPROTOOPT) {
		return nil // before Linux 6.15
	}
	return os.NewSyscallError("setsockopt TCP_RTO_MAX_MS", err)
}

// Looks is how often a peer's pulse is to be felt within the time in which it has to be found dead.
const Looks = 6

// Pulse finds out whether a TCP peer is dead to which something was sent; then the kernel does not ask, and sends again for a quarter of an
// hour. Whoever owns the Pulse feels it Looks times within the limit.
type Pulse struct {
	suspect bool // at the last look, something was overdue
}

// DeadError says that a TCP peer has not answered for so long.
type DeadError struct{ Silence time.Duration }

func (e *DeadError) Error() string {
	return fmt.Sprintf("the peer has not answered for %v", e.Silence.Round(time.Second))
}

// Feel returns a *DeadError if something was sent to the peer at fd, and it has answered nothing for most of limit. A peer that answers that it
// has no room is alive.
func (p *Pulse) Feel(fd int, limit time.Duration) error {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return os.NewSyscallError("getsockopt TCP_INFO", err)
	}
	// Unacked is what is on its way; Probes, how often a peer without room was asked again and has not answered.
	silence := time.Duration(info.Last_ack_recv) * time.Millisecond
	overdue := (info.Unacked > 0 || info.Probes > 0) && silence >= limit-2*limit/Looks // it takes two looks more until it is sure
	dead := overdue && p.suspect                                                       // once may be the moment between a question and its answer
	p.suspect = overdue
	if dead {
		return &DeadError{Silence: silence}
	}
	return nil
}
