package continuity

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Manager is the service manager's end of sd_notify(3). It is safe for use by several goroutines at once. Its messages are
// received also if the process dies right after they were sent.
type Manager struct {
	conn *net.UnixConn
	addr *net.UnixAddr
}

// FindManager returns the manager that the environment names (NOTIFY_SOCKET), or nil if there is none.
func FindManager() (*Manager, error) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil, nil
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("the service manager cannot be reached: %w", err)
	}
	return &Manager{conn: conn, addr: &net.UnixAddr{Name: name, Net: "unixgram"}}, nil
}

// Notify sends assignments, such as READY=1. On a nil Manager it does nothing.
func (m *Manager) Notify(assignments ...string) error { return m.send(assignments) }

func (m *Manager) send(assignments []string, descriptors ...int) error {
	if m == nil {
		return nil
	}
	var control []byte
	if len(descriptors) > 0 {
		control = unix.UnixRights(descriptors...)
	}
	if _, _, err := m.conn.WriteMsgUnix([]byte(strings.Join(assignments, "\n")), control, m.addr); err != nil {
		return fmt.Errorf("the service manager does not hear %s: %w", assignments[0], err)
	}
	return nil
}

// store has the manager hold descriptors, and give them to the next process under that name.
func (m *Manager) store(name string, descriptors ...int) error {
	return m.send([]string{"FDSTORE=1", "FDNAME=" + name, "FDPOLL=0"}, descriptors...)
}

// forget has the manager close what it holds under that name.
func (m *Manager) forget(name string) error {
	return m.send([]string{"FDSTOREREMOVE=1", "FDNAME=" + name})
}

// storeNow is store, but fails if the manager cannot be told at once.
func (m *Manager) storeNow(name string, descriptors ...int) error {
	return m.sendNow("FDSTORE=1\nFDNAME="+name+"\nFDPOLL=0", descriptors...)
}

// forgetNow is forget, likewise.
func (m *Manager) forgetNow(name string) error {
	return m.sendNow("FDSTOREREMOVE=1\nFDNAME=" + name)
}

func (m *Manager) sendNow(text string, descriptors ...int) (err error) {
	if m == nil {
		return nil
	}
	raw, err := m.conn.SyscallConn()
	if err != nil {
		return err
	}
	var control []byte
	if len(descriptors) > 0 {
		control = unix.UnixRights(descriptors...)
	}
	outer := raw.Control(func(fd uintptr) {
		err = unix.Sendmsg(int(fd), []byte(text), control, &unix.SockaddrUnix{Name: m.addr.Name}, unix.MSG_DONTWAIT)
	})
	return errors.Join(outer, err)
}

// Close closes the socket to the manager.
func (m *Manager) Close() error {
	if m == nil {
		return nil
	}
	return m.conn.Close()
}

// Watchdog is how often the manager wants to hear WATCHDOG=1 (sd_watchdog_enabled(3)); 0 if it does not.
func Watchdog() time.Duration {
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if pid := os.Getenv("WATCHDOG_PID"); err != nil || usec <= 0 || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	return time.Duration(usec) * time.Microsecond
}

// Monotonic is the assignment that tells the manager when a reload has begun.
func Monotonic() string {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return "MONOTONIC_USEC=0"
	}
	return "MONOTONIC_USEC=" + strconv.FormatInt(now.Nano()/1000, 10)
}
