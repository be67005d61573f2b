// Package limits makes sure that the kernel lets the hub have what its links need.
package limits

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// perLink is how many descriptors a link with two peers has beside its stash: two sockets that listen, and two that are connected.
	perLink = 4
	// perBusyLink adds a pipe for each direction, which a link has while a peer does not take what is sent to it.
	perBusyLink = perLink + 4
	// others is for everything else: the API and its callers, peers that wait or have just left, spare pipes, files.
	others = 100
)

// ErrDescriptors says that a config has more links than this process may have descriptors for.
var ErrDescriptors = errors.New("too few file descriptors")

// Need is for what there have to be descriptors.
type Need struct {
	Links   int // that run
	Stashes int // one for each link, also of those that do not run
	Buffers int // of links, one for each direction
	Extra   int // of ends that take more than one that listens on a plain socket
	Callers int // of the API, as many as there may be; with fewer, fewer can call at once
}

// Descriptors is how many there have to be, and busy how many there should be, when every link is held up at once.
func (n Need) Descriptors() (need, busy uint64) {
	fixed := uint64(n.Stashes + n.Buffers + n.Extra + others)
	return uint64(n.Links*perLink) + fixed, uint64(n.Links*perBusyLink) + fixed
}

// Fit raises the limit of descriptors (RLIMIT_NOFILE of getrlimit(2)) to what the links need, as far as the hub may.
// It returns ErrDescriptors if they cannot all be connected then, and logs a warning if they cannot all be busy.
func Fit(n Need, log *slog.Logger) error {
	limit, err := current()
	if err != nil {
		return err
	}
	need, busy := n.Descriptors()
	for _, want := range []uint64{busy + uint64(n.Callers), busy, need} { // raising the hard limit is for the privileged, and has a bound of its own: fs.nr_open
		if limit.Cur < want {
			raised := unix.Rlimit{Cur: max(want, limit.Max), Max: max(want, limit.Max)}
			if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) == nil {
				limit = raised
			}
		}
	}
	switch {
	case limit.Cur < need:
		return fmt.Errorf("%w: %d links need %d, and this process may have %d; raise the limit (LimitNOFILE=%d in its systemd unit, or ulimit -n %d), or share the links between hubs",
			ErrDescriptors, n.Links, need, limit.Cur, busy, busy)
	case limit.Cur < busy:
		log.Warn("there are enough file descriptors for every peer, but not for every link to be held up at once; then some links wait for others",
			"links", n.Links, "limit", limit.Cur, "better", busy)
	}
	return nil
}

// ForCallers is how many descriptors the callers of the API may take: as many as there may be, or what the links leave of the limit.
func ForCallers(n Need) int {
	limit, err := current()
	if err != nil {
		return others / 2
	}
	spare := others / 2
	if _, busy := n.Descriptors(); limit.Cur > busy {
		spare += int(min(limit.Cur-busy, uint64(n.Callers)))
	}
	return min(n.Callers, spare)
}

func current() (limit unix.Rlimit, err error) {
	err = unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return limit, os.NewSyscallError("getrlimit", err)
}
