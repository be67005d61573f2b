package continuity

import (
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"serialhub/internal/testenv"
)

// watched has somebody watch every link that says nothing else: to be watched may change nothing.
var watched = flag.Bool("continuity.watched", false, "give links scrollback and a transcript")

// service is a hub, through all its processes. Its config, program, log and sockets are in a folder of its own.
type service struct {
	t       *testing.T
	dir     string
	program *program
	manager *manager // nil if nobody manages it
	sockets []passed // of its socket units
	env     []string // beside what each has
	process *process
}

// newService makes a service on links, as the config's lines for them; start starts it. The test's end is its end.
func newService(t *testing.T, binary string, managed bool, links string) *service {
	t.Helper()
	s := &service{t: t, dir: testenv.Dir(t)}
	s.program = installProgram(t, s.dir, binary)
	if managed {
		s.manager = startManager(t, s.dir)
	}
	s.write(links)
	t.Cleanup(func() {
		if s.process != nil {
			s.process.Kill()
			<-s.process.ended
		}
		if t.Failed() {
			t.Log(testenv.Tail(s.log()))
		}
	})
	return s
}

// write replaces the config.
func (s *service) write(links string) {
	s.t.Helper()
	text := "api: {listen: unix:api}\nlog: {format: json}\nlinks:\n" + links
	if *watched {
		text = "defaults: {scrollback: 64KiB, transcript: {file: 'watched/{link}.json', format: json, max_size: 1MiB, keep: 2}}\n" + text
	}
	if err := os.WriteFile(s.path("links.yaml"), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *service) path(name string) string { return filepath.Join(s.dir, name) }

// log is what all processes have written.
func (s *service) log() string {
	text, err := os.ReadFile(s.path("log"))
	if err != nil && !os.IsNotExist(err) {
		s.t.Error(err)
	}
	return string(text)
}

// start starts a process; it does not wait until that is ready.
func (s *service) start() {
	s.t.Helper()
	env := append([]string{"PATH=" + os.Getenv("PATH"), "GOTRACEBACK=all"}, s.env...)
	begin := func(fds []passed) (*process, error) {
		return startProcess([]string{s.program.path, "-c", s.path("links.yaml")}, env, s.path("log"), fds)
	}
	var err error
	if s.manager == nil {
		s.process, err = begin(s.sockets)
	} else {
		env = append(env, "NOTIFY_SOCKET="+s.manager.socket)
		s.process, err = s.manager.launch(s.sockets, begin)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// ready waits until all ends are open.
func (s *service) ready() {
	s.t.Helper()
	s.until("ready", func() error { return s.get("/readyz", nil) })
}

// until waits for a condition, and fails at once if the hub ends before.
func (s *service) until(what string, condition func() error) {
	s.t.Helper()
	eventually(s.t, what, func() error {
		if s.process.gone() {
			s.t.Fatalf("the hub ended with %v before it was %s", s.process.state, what)
		}
		return condition()
	})
}

// kill ends the process by SIGKILL.
func (s *service) kill() {
	s.t.Helper()
	s.signal(syscall.SIGKILL)
	s.gone()
}

// stop asks the process to end, which it must do with exit code 0.
func (s *service) stop() {
	s.t.Helper()
	s.terminate()
	if code := s.process.state.ExitCode(); code != 0 {
		s.t.Errorf("after SIGTERM the hub ended with %v", s.process.state)
	}
}

// terminate asks the process to end, at any moment. One that has only just begun does not know of signals, and dies of it.
func (s *service) terminate() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	s.gone()
	status := s.process.state.Sys().(syscall.WaitStatus)
	if code := status.ExitStatus(); code != 0 && (!status.Signaled() || status.Signal() != syscall.SIGTERM) {
		s.t.Errorf("after SIGTERM the hub ended with %v", s.process.state)
	}
}

// gone waits for the end of the process, and until the manager knows all that it has said.
func (s *service) gone() {
	s.t.Helper()
	select {
	case <-s.process.ended:
	case <-time.After(patience):
		s.t.Fatal("the hub does not end")
	}
	if s.manager != nil {
		s.manager.settle(s.t)
	}
}

func (s *service) signal(sig syscall.Signal) {
	s.t.Helper()
	if s.process.gone() {
		s.t.Fatalf("the hub has ended by itself: %v", s.process.state)
	}
	if err := s.process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// replace puts another program on disk, asks the hub to become that, and waits until it is.
func (s *service) replace() {
	s.t.Helper()
	s.program.upgrade(s.t)
	s.signal(syscall.SIGUSR2)
	s.until("replaced", func() error { return unless(s.program.runs(s.process.pid), "it is the old program") })
}

// dial connects a peer, which is closed at the test's end.
func (s *service) dial(socket string) *net.UnixConn {
	s.t.Helper()
	return s.dialAddress(s.path(socket))
}

func (s *service) dialAddress(address string) *net.UnixConn {
	s.t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Net: "unix", Name: address})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return conn
}

// logs waits until the log, from some place on, contains a text.
func (s *service) logs(from int, texts ...string) {
	s.t.Helper()
	s.until(fmt.Sprintf("logging one of %q", texts), func() error {
		for _, text := range texts {
			if strings.Contains(s.log()[from:], text) {
				return nil
			}
		}
		return fmt.Errorf("it logs %q", testenv.Tail(s.log()[from:]))
	})
}

// sharers is how many sockets of this machine have the name of an end's: one that listens, and one for each peer that is connected or waits.
func (s *service) sharers(socket string) int {
	s.t.Helper()
	text, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Count(string(text), " "+s.path(socket)+"\n")
}

// waitSharers waits until so many sockets have the name of an end's: 1 if only the one that listens is left.
func (s *service) waitSharers(socket string, want int) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("%d sockets are called %s", want, socket), func() error {
		got := s.sharers(socket)
		return unless(got == want, "there are %d", got)
	})
}

// descriptors is how many the process has open.
func (s *service) descriptors() int {
	s.t.Helper()
	entries, err := os.ReadDir(procFile(s.process.pid, "fd"))
	if err != nil {
		s.t.Fatal(err)
	}
	return len(entries)
}

// stopped tells whether SIGSTOP has reached the process.
func (s *service) stopped() bool {
	s.t.Helper()
	text, err := os.ReadFile(procFile(s.process.pid, "stat"))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Contains(string(text), ") T ")
}

func procFile(pid int, name string) string { return fmt.Sprintf("/proc/%d/%s", pid, name) }
