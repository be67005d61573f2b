package continuity

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// manager plays systemd's part: it listens to what a service says of itself, and keeps the descriptors that it is given.
type manager struct {
	socket string
	conn   *net.UnixConn
	ended  chan struct{}
	busy   sync.Mutex // is held while it does not read

	mu        sync.Mutex
	main      int // the process that may speak; as with NotifyAccess=main, others are not heard
	kept      store
	notices   []notice
	strangers []string // what others said
	faults    []error  // what systemd would warn of
}

// startManager starts a manager whose socket is in a folder. It ends with the test, which fails if the service has said nonsense.
func startManager(t *testing.T, dir string) *manager {
	t.Helper()
	m := &manager{socket: filepath.Join(dir, "notify"), ended: make(chan struct{})}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: m.socket})
	if err != nil {
		t.Fatal(err)
	}
	m.conn = conn
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if outer := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) }); outer != nil || err != nil {
		t.Fatal(outer, err)
	}
	go m.listen()
	t.Cleanup(func() {
		conn.Close()
		<-m.ended
		m.kept.clear()
		for _, fault := range m.faults {
			t.Errorf("systemd would warn: %v", fault)
		}
		if t.Failed() && len(m.strangers) > 0 {
			t.Logf("not heard, for other processes said it: %q", m.strangers)
		}
	})
	return m
}

func (m *manager) listen() {
	defer close(m.ended)
	text, control := make([]byte, 4096), make([]byte, unix.CmsgSpace(253*4)+unix.CmsgSpace(unix.SizeofUcred))
	for {
		n, oobn, flags, _, err := m.conn.ReadMsgUnix(text, control)
		if err != nil {
			return // closed
		}
		heard := notice{text: string(text[:n]), at: time.Now(), clock: monotonic()}
		err = heard.unpack(control[:oobn])
		if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
			err = errors.Join(err, errors.New("the message is cut off"))
		}
		m.busy.Lock()
		m.mu.Lock()
		m.busy.Unlock()
		if err == nil {
			err = m.handle(heard)
		}
		if err != nil {
			m.faults = append(m.faults, fmt.Errorf("%q: %w", heard.text, err))
		}
		m.mu.Unlock()
	}
}

// unpack takes the descriptors and the sender out of what came with a message.
func (n *notice) unpack(control []byte) error {
	messages, err := unix.ParseSocketControlMessage(control)
	for _, message := range messages {
		if fds, err := unix.ParseUnixRights(&message); err == nil {
			n.fds = append(n.fds, fds...)
		}
		if sender, err := unix.ParseUnixCredentials(&message); err == nil {
			n.pid = int(sender.Pid)
		}
	}
	return err
}

// handle does what the sender wants. The caller holds mu.
func (m *manager) handle(n notice) error {
	left := n.fds
	defer func() {
		for _, fd := range left {
			unix.Close(fd)
		}
	}()
	if n.pid != m.main && n.pid != os.Getpid() {
		m.strangers = append(m.strangers, n.text)
		return nil
	}
	if n.says("BARRIER=1") {
		return unless(len(n.fds) == 1, "%d descriptors with a barrier, not 1", len(n.fds))
	}
	m.notices = append(m.notices, n)
	name, named := n.value("FDNAME")
	if named && !validName(name) {
		return errors.New("the name is not valid")
	}
	switch {
	case n.says("FDSTOREREMOVE=1"):
		m.kept.remove(name)
		return unless(named, "a removal without a name")
	case n.says("FDSTORE=1"):
		if !named {
			name = "stored"
		}
		left = nil
		for _, fd := range n.fds {
			m.kept.add(stored{name: name, fd: fd, poll: !n.says("FDPOLL=0")})
		}
		return unless(len(n.fds) > 0, "nothing to store")
	}
	return unless(len(n.fds) == 0, "descriptors without FDSTORE=1")
}

// launch starts the service's next process with what is stored, after its sockets, in no order: systemd promises none.
func (m *manager) launch(sockets []passed, start func([]passed) (*process, error)) (*process, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept.prune()
	fds := slices.Clone(sockets)
	for _, i := range rand.Perm(len(m.kept)) {
		fds = append(fds, passed{name: m.kept[i].name, fd: m.kept[i].fd})
	}
	p, err := start(fds)
	if err == nil {
		m.main = p.pid
	}
	return p, err
}

// names are those of everything that is stored, in order.
func (m *manager) names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept.prune()
	var names []string
	for _, one := range m.kept {
		names = append(names, one.name)
	}
	slices.Sort(names)
	return names
}

// discard drops what is stored, as when a service is stopped.
func (m *manager) discard() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept.clear()
}

// heard is everything that the service has said of itself, apart from barriers.
func (m *manager) heard() []notice {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.notices)
}

// settle returns when everything that was sent before has been handled. What a process said before it died still counts.
func (m *manager) settle(t *testing.T) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	err = tell(m.socket, "BARRIER=1", int(write.Fd()))
	write.Close()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read.Read(make([]byte, 1)); err == nil {
		t.Fatal("the barrier was written to")
	}
}

// awaitNotice waits for a line among what was said after the first so many notices, and returns that notice and how many were said up to it.
func (m *manager) awaitNotice(t *testing.T, after int, line string) (notice, int) {
	t.Helper()
	var found notice
	var upto int
	eventually(t, "the service says "+line, func() error {
		all := m.heard()
		for i := after; i < len(all); i++ {
			if all[i].says(line) {
				found, upto = all[i], i+1
				return nil
			}
		}
		return fmt.Errorf("it has said %d things since, and not that", len(all)-after)
	})
	return found, upto
}
