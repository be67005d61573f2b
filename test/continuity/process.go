package continuity

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// passed is a descriptor that a process is started with, and its name in LISTEN_FDNAMES.
type passed struct {
	name string
	fd   int
}

// process is one incarnation of a service.
type process struct {
	*os.Process
	pid   int
	ended chan struct{}
	state *os.ProcessState // how it ended; to be read after ended
}

// startProcess starts a command with descriptors from 3 on. Unlike os/exec it leaves their O_NONBLOCK as it is: the open files are shared
// with whoever has stored them. A shell that becomes the command names the pid, which nobody knows before.
func startProcess(command, env []string, log string, fds []passed) (*process, error) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		return nil, err
	}
	output, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	input, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer input.Close()
	files := []uintptr{input.Fd(), output.Fd(), output.Fd()}
	script := `export WATCHDOG_PID=$$; exec "$@"`
	if len(fds) > 0 {
		var names []string
		for _, one := range fds {
			files, names = append(files, uintptr(one.fd)), append(names, one.name)
		}
		env = append(env, "LISTEN_FDS="+strconv.Itoa(len(fds)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
		script = "export LISTEN_PID=$$; " + script
	}
	pid, err := syscall.ForkExec(shell, append([]string{"sh", "-c", script, "sh"}, command...), &syscall.ProcAttr{
		Env: env, Files: files, Sys: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return nil, err
	}
	handle, err := os.FindProcess(pid)
	if err != nil {
		return nil, err
	}
	p := &process{Process: handle, pid: pid, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		p.state, err = handle.Wait()
	}()
	return p, nil
}

// gone tells whether the process has ended.
func (p *process) gone() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}
