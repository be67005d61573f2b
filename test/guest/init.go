package guest

import (
	"bufio"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// controlDevice is the first port of the guest's virtio-serial device.
const controlDevice = "/dev/vport0p1"

// server is the guest's init. It runs what the test asks for, any number of processes at a time.
type server struct {
	mu        sync.Mutex
	replies   *gob.Encoder
	processes map[int]*os.Process
}

// serve is what process 1 of the guest does: it never returns.
func serve() {
	err := prepare()
	if err == nil {
		err = new(server).serve()
	}
	fmt.Fprintln(os.Stderr, "init:", err)
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		panic(err)
	}
}

// prepare makes a bare kernel a system: file systems, a folder for locks, busybox, modules, a loopback interface.
func prepare() error {
	for _, m := range []struct{ kind, at string }{
		{"devtmpfs", "/dev"}, {"devpts", "/dev/pts"}, {"proc", "/proc"}, {"sysfs", "/sys"}, {"tmpfs", "/tmp"},
	} {
		if err := os.MkdirAll(m.at, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mounting %s: %w", m.at, err)
		}
	}
	for _, folder := range []string{"/run/lock", "/var"} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	if err := os.Symlink("/run/lock", "/var/lock"); err != nil {
		return err
	}
	if err := os.Setenv("PATH", "/bin"); err != nil {
		return err
	}
	if output, err := exec.Command("/bin/busybox", "--install", "-s", "/bin").CombinedOutput(); err != nil {
		return fmt.Errorf("installing busybox: %w: %s", err, output)
	}
	if output, err := exec.Command("ifconfig", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("the loopback interface: %w: %s", err, output)
	}
	return loadModules("/modules")
}

// serve opens the control line and does what comes over it, until that ends.
func (s *server) serve() error {
	line, err := openControl()
	if err != nil {
		return err
	}
	defer line.Close()
	s.processes = make(map[int]*os.Process)
	s.replies = gob.NewEncoder(line)
	s.reply(reply{}) // it waits for the host's side to be there; a read would not
	requests := gob.NewDecoder(bufio.NewReader(line))
	for {
		var r request
		if err := requests.Decode(&r); err != nil {
			return fmt.Errorf("reading the control line: %w", err)
		}
		switch {
		case r.Args != nil:
			s.start(r)
		case r.Path != "":
			s.end(r.ID, 0, write(r.Path, r.Data))
		default:
			s.signal(r)
		}
	}
}

// openControl opens the control line as soon as the kernel has found it.
func openControl() (*os.File, error) {
	deadline := time.Now().Add(patience)
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for ; ; <-poll.C {
		line, err := os.OpenFile(controlDevice, os.O_RDWR, 0)
		if !errors.Is(err, fs.ErrNotExist) || time.Now().After(deadline) {
			return line, err
		}
	}
}

// start starts a process, and tells what it says and how it ends.
func (s *server) start(r request) {
	process := exec.Command(r.Args[0], r.Args[1:]...)
	process.Dir = "/tmp"
	process.Env = append(os.Environ(), insideVariable+"=1")
	output := outputWriter{s, r.ID}
	process.Stdout, process.Stderr = output, output
	if err := process.Start(); err != nil {
		s.end(r.ID, -1, err)
		return
	}
	s.mu.Lock()
	s.processes[r.ID] = process.Process
	s.mu.Unlock()
	go func() {
		err := process.Wait()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			err = nil
		}
		s.mu.Lock()
		delete(s.processes, r.ID)
		s.mu.Unlock()
		s.end(r.ID, process.ProcessState.ExitCode(), err)
	}()
}

// signal sends a signal to a process, unless it has ended.
func (s *server) signal(r request) {
	s.mu.Lock()
	process := s.processes[r.ID]
	s.mu.Unlock()
	if process == nil {
		return
	}
	if err := process.Signal(r.Signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		fmt.Fprintln(os.Stderr, "init:", err)
	}
}

// write writes a file, and the folders that it is in.
func write(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o755)
}

// end tells how a request has ended.
func (s *server) end(id, code int, err error) {
	r := reply{ID: id, Ended: true, Code: code}
	if err != nil {
		r.Error = err.Error()
	}
	s.reply(r)
}

// reply sends a reply; without the control line there is nobody to tell that it failed.
func (s *server) reply(r reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.replies.Encode(r); err != nil {
		fmt.Fprintln(os.Stderr, "init:", err)
	}
}

// outputWriter sends the output of a process to the test.
type outputWriter struct {
	server *server
	id     int
}

var _ io.Writer = outputWriter{}

func (w outputWriter) Write(data []byte) (int, error) {
	w.server.reply(reply{ID: w.id, Output: data})
	return len(data), nil
}
