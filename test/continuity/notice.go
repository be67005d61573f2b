package continuity

import (
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// notice is one datagram of the notify protocol, see sd_notify(3).
type notice struct {
	text  string
	pid   int   // of the sender, by the kernel's word
	fds   []int // owned by whoever handles it
	at    time.Time
	clock time.Duration // at, on CLOCK_MONOTONIC
}

// value is what the notice says of a key.
func (n notice) value(key string) (value string, found bool) {
	for line := range strings.Lines(n.text) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if name == key {
			return value, true
		}
	}
	return "", false
}

// says tells whether the notice contains a line.
func (n notice) says(line string) bool {
	key, want, _ := strings.Cut(line, "=")
	value, found := n.value(key)
	return found && value == want
}

// validName tells whether systemd takes a name for a stored descriptor.
func validName(name string) bool {
	for _, char := range []byte(name) {
		if char < ' ' || char > '~' || char == ':' {
			return false
		}
	}
	return len(name) <= 255
}

// monotonic is the time that MONOTONIC_USEC is of.
func monotonic() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // Linux has this clock
	}
	return time.Duration(t.Nano())
}

// tell sends a notice to a manager's socket.
func tell(socket, text string, fds ...int) error {
	from, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(from)
	return unix.Sendmsg(from, []byte(text), unix.UnixRights(fds...), &unix.SockaddrUnix{Name: socket}, 0)
}
