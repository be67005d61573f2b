package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is a relay that was started. What it writes to stderr goes into a file, so that nobody has to read along.
type process struct {
	cmd   *exec.Cmd
	log   string
	done  chan struct{} // closed when it has ended
	err   error         // how it ended; to be read after done
	asked bool          // to end, or it may now
}

// startProcess starts a command and reports its end to ended, which has room for it.
func startProcess(command []string, log string, ended chan<- *process) (*process, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = file
	cmd.SysProcAttr = ownGroup()
	err = cmd.Start()
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
		ended <- p
	}()
	return p, nil
}

// ownGroup keeps the terminal's Ctrl-C from a child: this program ends what it has started, in order.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// excuse lets the process end from now on, in whatever way.
func (p *process) excuse() {
	select {
	case <-p.done:
	default:
		p.asked = true
	}
}

// terminate asks the process to end.
func (p *process) terminate() {
	p.excuse()
	select {
	case <-p.done:
	default:
		p.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended just now
	}
}

// wait waits for the end of a process that was asked to. It returns an error if it had ended badly before it was asked,
// or, if clean is what is expected of it, afterwards.
func (p *process) wait(clean bool) error {
	select {
	case <-p.done:
	case <-time.After(patience):
		p.cmd.Process.Kill() //nolint:errcheck // it may have ended just now
		<-p.done
		return p.failure(fmt.Errorf("it did not end within %v and was killed", patience))
	}
	if p.err != nil && (clean || !p.asked) {
		return p.failure(p.err)
	}
	return nil
}

// gone is the error of who still needs the process.
func (p *process) gone() error {
	return fmt.Errorf("%s has ended: %s", p.cmd.Path, p.cmd.ProcessState)
}

// failure is an error with the last that the process said.
func (p *process) failure(err error) error {
	const enough = 4096
	words, unread := os.ReadFile(p.log)
	if unread != nil {
		return errors.Join(err, unread)
	}
	return fmt.Errorf("%s: %w\n%s", p.cmd, err, words[max(0, len(words)-enough):])
}

// cpu is the processor time of the threads it has now, to the nanosecond: times(2) counts ticks of 10 ms.
func (p *process) cpu() (time.Duration, error) {
	files, err := filepath.Glob(p.proc("task/*/schedstat"))
	if err != nil {
		return 0, err
	}
	var total time.Duration
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // a thread that has ended meanwhile
		}
		if err != nil {
			return 0, err
		}
		var running time.Duration
		if _, err := fmt.Sscan(string(text), &running); err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		total += running
	}
	return total, nil
}

func (p *process) pss() (int64, error) {
	file := p.proc("smaps_rollup")
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "Pss: %d kB", &kib); n == 1 {
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("%s: no line begins with Pss", file)
}

// descriptors is how many the process has open.
func (p *process) descriptors() (int, error) {
	entries, err := os.ReadDir(p.proc("fd"))
	return len(entries), err
}

func (p *process) proc(name string) string {
	return fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, name)
}
