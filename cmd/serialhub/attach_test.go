package main_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/coder/websocket"
	"golang.org/x/sys/unix"

	"serialhub/internal/client/clienttest"
	"serialhub/internal/testenv"
)

// machine is an end at whose other side all is said back, and what has come is kept.
type machine struct {
	*clienttest.Hub
	heard  safeBuffer
	left   chan websocket.StatusCode
	throw  chan string // takes the end away for that reason
	breaks chan string // the queries of the breaks that were sent
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{left: make(chan websocket.StatusCode, 8), throw: make(chan string, 1), breaks: make(chan string, 8)}
	hearing := clienttest.Talk(func(ctx context.Context, conn *websocket.Conn, _ *http.Request) {
		for err := error(nil); err == nil; {
			_, _, err = conn.Read(ctx)
		}
	})
	m.Hub = clienttest.Start(t, "", clienttest.Routes{
		"GET /links/dbg/attach": clienttest.Talk(func(ctx context.Context, conn *websocket.Conn, r *http.Request) {
			clienttest.Say(ctx, conn, "you are at end "+r.URL.RawQuery+"\n")
			go func() {
				select {
				case reason := <-m.throw:
					conn.Close(websocket.StatusGoingAway, reason)
				case <-ctx.Done():
				}
			}()
			for {
				_, p, err := conn.Read(ctx)
				if err != nil {
					m.left <- websocket.CloseStatus(err)
					return
				}
				m.heard.Write(p)
				clienttest.Say(ctx, conn, string(p))
			}
		}),
		"GET /links/busy/attach": clienttest.Refuse(http.StatusConflict, "end b of busy is taken by gdb, pid 7"),
		"GET /links/lone/attach": hearing,
		"GET /links/lone":        clienttest.Answer(`{"name": "lone", "state": "half", "ends": {"a": {"state": "waiting", "peer": null}, "b": {"state": "connected", "peer": {"pid": 8}}}}`),
		"GET /links/tty/attach":  hearing,
		"GET /links/tty":         clienttest.Answer(`{"name": "tty", "state": "up", "ends": {"a": {"state": "connected", "peer": null}, "b": {"state": "connected", "peer": {"pid": 8}}}}`),
		"GET /links/dbg":         clienttest.Answer(`{"name": "dbg", "state": "up", "ends": {"a": {"peer": {"pid": 7, "command": "qemu", "vm": "win7"}}, "b": {"peer": {"pid": 8, "command": "serialhub"}}}}`),
		"POST /links/dbg/break": func(w http.ResponseWriter, r *http.Request) {
			m.breaks <- r.URL.RawQuery
			clienttest.Refuse(http.StatusConflict, "no break was sent: a unix socket has none")(w, r)
		},
	})
	return m
}

// person is somebody who has attached from a terminal.
type person struct {
	t      *testing.T
	keys   testenv.Terminal
	screen safeBuffer
	before unix.Termios
	cmd    *exec.Cmd
	ended  chan struct{}
}

func (p *person) modes() (modes unix.Termios) {
	p.t.Helper()
	if err := p.keys.Control(func(fd int) error {
		got, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil {
			modes = *got
		}
		return err
	}); err != nil {
		p.t.Fatal(err)
	}
	return modes
}

// sitDown runs the program in a terminal of its own, as a shell would.
func sitDown(t *testing.T, args ...string) *person {
	t.Helper()
	keys, path := testenv.NewTerminal(t)
	slave, err := testenv.OpenTerminal(path)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, keys: keys, cmd: exec.Command(binary, args...), ended: make(chan struct{})}
	p.before = p.modes()
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = slave.File, slave.File, slave.File
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go io.Copy(&p.screen, keys)
	go func() { p.cmd.Wait(); close(p.ended) }()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.ended
		slave.Close()
	})
	return p
}

func (p *person) press(keys string) { p.keys.WriteString(keys) }

func (p *person) sees(want string) {
	p.t.Helper()
	testenv.Eventually(p.t, patience, "the screen", func() error {
		if got := p.screen.String(); !strings.Contains(got, want) {
			return fmt.Errorf("it shows %q, without %q", got, want)
		}
		return nil
	})
}

func (p *person) isRaw(want bool) {
	p.t.Helper()
	testenv.Eventually(p.t, patience, "the terminal", func() error {
		if raw := p.modes().Lflag&unix.ICANON == 0; raw != want {
			return fmt.Errorf("raw: %v", raw)
		}
		return nil
	})
}

// leaves waits for the end, and looks at what the terminal is like then.
func (p *person) leaves(wantCode int) {
	p.t.Helper()
	testenv.Eventually(p.t, patience, "the end", func() error {
		select {
		case <-p.ended:
			return nil
		default:
			return errors.New("it goes on")
		}
	})
	if code := p.cmd.ProcessState.ExitCode(); code != wantCode {
		p.t.Errorf("exit code %d, not %d: %q", code, wantCode, p.screen.String())
	}
	if after := p.modes(); after != p.before {
		p.t.Errorf("the terminal was\n%+v and is\n%+v", p.before, after)
	}
	p.sees("\x1b[?1000;1002;1003;1004;1005;1006;1015l")
}

// TestAttach carries every key, and shows every byte.
func TestAttach(t *testing.T) {
	m := newMachine(t)
	p := sitDown(t, "attach", "dbg", "--end", "b", "--api", m.Address)
	p.sees("serialhub: attached to end b of dbg; Ctrl-] q leaves")
	p.sees("you are at end end=b\n")
	p.isRaw(true)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	p.press(strings.ReplaceAll(string(all), "\x1d", "\x1d\x1d"))
	p.sees(string(all))
	p.press("\x1ds")
	p.sees("\r\nserialhub: dbg is up\r\n  a: qemu (win7), pid 7\r\n  b: serialhub, pid 8 (here)\r\n")
	p.press("\x1db")
	if query := <-m.breaks; query != "end=a" {
		t.Errorf("a break for %s", query)
	}
	p.sees("\r\nserialhub: no break was sent: a unix socket has none\r\n")
	p.press("\x1dq")
	p.leaves(0)
	if status := <-m.left; status != websocket.StatusNormalClosure {
		t.Errorf("it has left with %v", status)
	}
	if got := m.heard.String(); got != string(all) {
		t.Errorf("the machine has heard %q", got)
	}
}

// TestTerminalIsGivenBack whatever ends the session.
func TestTerminalIsGivenBack(t *testing.T) {
	for name, end := range map[string]func(*machine, *person){
		"taken away": func(m *machine, _ *person) { m.throw <- "the link was reset" },
		"hub gone":   func(m *machine, _ *person) { m.Stop() },
		"SIGTERM":    func(_ *machine, p *person) { p.cmd.Process.Signal(unix.SIGTERM) },
		"SIGHUP":     func(_ *machine, p *person) { p.cmd.Process.Signal(unix.SIGHUP) },
		"SIGINT":     func(_ *machine, p *person) { p.cmd.Process.Signal(unix.SIGINT) },
		"SIGQUIT":    func(_ *machine, p *person) { p.cmd.Process.Signal(unix.SIGQUIT) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			p := sitDown(t, "attach", "dbg", "--end", "b", "--api", m.Address, "--replace")
			p.sees("you are at end end=b&replace=true")
			p.isRaw(true)
			end(m, p)
			p.leaves(1)
			p.sees("serialhub: no longer at end b of dbg: ")
			if name == "taken away" {
				p.sees("the link was reset\r\n")
			}
		})
	}
}

// TestStopAndContinue gives the terminal to the shell for as long as it stops the program.
func TestStopAndContinue(t *testing.T) {
	m := newMachine(t)
	p := sitDown(t, "attach", "dbg", "--end", "b", "--api", m.Address)
	p.sees("you are at end")
	p.isRaw(true)
	p.cmd.Process.Signal(unix.SIGTSTP)
	p.isRaw(false)
	testenv.Eventually(t, patience, "it is not stopped", func() error {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
		if err == nil && !strings.Contains(string(stat), ") T ") {
			err = errors.New(string(stat))
		}
		return err
	})
	p.cmd.Process.Signal(unix.SIGCONT)
	p.isRaw(true)
	p.press("still here")
	p.sees("still here")
	p.press("\x1dq")
	p.leaves(0)
}

// TestAttachFromScript sends what it is given, as it is, and prints the answer.
func TestAttachFromScript(t *testing.T) {
	m := newMachine(t)
	for _, said := range []string{"reboot\n\x1dq\x00", strings.Repeat("all\x00of\xffit", 100_000), ""} {
		code, out, errs := calls(t, said, nil, "attach", "dbg", "--end", "a", "--api", m.Address)
		if code != 0 || out != "you are at end end=a\n"+said || errs != "" {
			t.Errorf("%d, %d bytes for %d, %q", code, len(out), len(said), errs)
		}
	}
	expect(t, 1, "", "serialhub: end b of busy is taken by gdb, pid 7\n", "attach", "busy", "--end", "b", "--api", m.Address)
	expect(t, 2, "", "Write --end a or --end b", "attach", "dbg", "--api", m.Address)
}

// TestAttachToNobody says so, to a person and to a script.
func TestAttachToNobody(t *testing.T) {
	m := newMachine(t)
	const want = "serialhub: nobody is at end a of lone yet; "
	if code, out, errs := calls(t, "reboot\n", nil, "attach", "lone", "--end", "b", "--api", m.Address); code != 0 || out != "" || !strings.HasPrefix(errs, want) {
		t.Errorf("%d, %q, %q", code, out, errs)
	}
	expect(t, 0, "", "", "attach", "tty", "--end", "b", "--api", m.Address)
	p := sitDown(t, "attach", "lone", "--end", "b", "--api", m.Address)
	p.sees("\r\n" + want)
	p.isRaw(true)
	p.press("\x1dq")
	p.leaves(0)
}
