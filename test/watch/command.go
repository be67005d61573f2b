package watch

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"serialhub/internal/testenv"
)

// command is the program as a client of the hub, which was started.
type command struct {
	*exec.Cmd
	h      *hub
	out    output
	errs   output
	ended  chan struct{}
	failed error
}

// output is what a program has said so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// environment is that of the hub's clients.
func (h *hub) environment() []string {
	return []string{"SERIALHUB_API=unix:" + h.path("api"), "PATH=" + filepath.Dir(program) + ":" + os.Getenv("PATH"), "HOME=" + h.dir, "LANG=C.UTF-8", "TZ=UTC"}
}

// command makes a client of the hub, which is killed with the test.
func (h *hub) command(arguments ...string) *command {
	c := &command{Cmd: exec.Command(program, arguments...), h: h, ended: make(chan struct{})}
	c.Env = h.environment()
	c.Stdout, c.Stderr = &c.out, &c.errs
	c.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	return c
}

// start starts it.
func (c *command) start() *command {
	c.h.t.Helper()
	if err := c.Start(); err != nil {
		c.h.t.Fatal(err)
	}
	go func() {
		defer close(c.ended)
		c.failed = c.Wait()
	}()
	c.h.t.Cleanup(c.kill)
	return c
}

// kill ends it at once.
func (c *command) kill() {
	c.Process.Kill()
	<-c.ended
}

// code waits until it has ended, and returns its exit code.
func (c *command) code() int {
	c.h.t.Helper()
	c.h.eventually("has ended: "+strings.Join(c.Args[1:], " "), func() error {
		select {
		case <-c.ended:
			return nil
		default:
			return errors.New("it runs; it has said " + c.errs.String())
		}
	})
	return c.ProcessState.ExitCode()
}

// run runs a client to its end, and returns what it has said.
func (h *hub) run(arguments ...string) (stdout, stderr string, code int) {
	h.t.Helper()
	c := h.command(arguments...).start()
	code = c.code()
	return c.out.String(), c.errs.String(), code
}

// must runs a client that succeeds, and returns what it has said.
func (h *hub) must(arguments ...string) string {
	h.t.Helper()
	out, errs, code := h.run(arguments...)
	if code != 0 || errs != "" {
		h.t.Fatalf("%s ended with %d: %s", strings.Join(arguments, " "), code, errs)
	}
	return out
}

// tap starts `serialhub tap dbg`.
func (h *hub) tap(arguments ...string) *command {
	h.t.Helper()
	return h.command(append([]string{"tap", "dbg"}, arguments...)...).start()
}

// shows waits until the program's output is as it should be.
func (c *command) shows(what string, holds func(text string) bool) {
	c.h.t.Helper()
	c.h.eventually("it shows "+what, func() error {
		text := c.out.String()
		if holds(text) {
			return nil
		}
		return fmt.Errorf("it shows %q, and complains %q", testenv.Tail(text), c.errs.String())
	})
}

// showsText waits until the program has shown a text.
func (c *command) showsText(text string) {
	c.h.t.Helper()
	c.shows(strconv.Quote(text), func(all string) bool { return strings.Contains(all, text) })
}
