package console_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"serialhub/internal/console"
	"serialhub/internal/testenv"
)

const patience = 30 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv("CONSOLE_TEST_PANIC") != "" {
		panicInTerminal()
	}
	goleak.VerifyTestMain(m)
}

// stage is a session in a terminal, and the machine at its other side.
type stage struct {
	t       *testing.T
	keys    testenv.Terminal // the person's side of the terminal
	machine net.Conn
	before  unix.Termios
	ended   chan error
	screen  *screen
}

type screen struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) { s.mu.Lock(); defer s.mu.Unlock(); return s.b.Write(p) }
func (s *screen) String() string              { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

// modes are those of a terminal.
func modes(t *testing.T, terminal testenv.Terminal) (modes unix.Termios) {
	t.Helper()
	err := terminal.Control(func(fd int) error {
		got, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil {
			modes = *got
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return modes
}

func newStage(t *testing.T) *stage {
	t.Helper()
	keys, path := testenv.NewTerminal(t)
	slave, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	machine, line := net.Pipe()
	s := &stage{t: t, keys: keys, machine: machine, before: modes(t, keys), ended: make(chan error, 1), screen: &screen{}}
	session := &console.Session{
		In: slave, Out: slave, Err: slave, Line: line, Welcome: "welcome", Flush: flushed,
		Status: func() (string, error) { return "one line\nand another", nil },
		Break:  func() error { return errors.New("this machine knows no break") },
	}
	go io.Copy(s.screen, keys)
	go func() { s.ended <- session.Run() }()
	t.Cleanup(func() {
		machine.Close()
		line.Close()
		keys.Close() // which ends the read of the other side
		slave.Close()
	})
	testenv.Eventually(t, patience, "the terminal is not raw", func() error {
		if modes(t, keys).Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != 0 {
			return errors.New("it is as it was")
		}
		return nil
	})
	return s
}

func (s *stage) press(keys string) {
	s.t.Helper()
	if _, err := s.keys.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// hears waits for what the machine is to hear.
func (s *stage) hears(want string) {
	s.t.Helper()
	got := make([]byte, len(want))
	s.machine.SetDeadline(time.Now().Add(patience))
	if n, err := io.ReadFull(s.machine, got); err != nil || string(got) != want {
		s.t.Fatalf("the machine hears %q, %v; not %q", got[:n], err, want)
	}
}

func (s *stage) shows(want string) {
	s.t.Helper()
	testenv.Eventually(s.t, patience, "the screen", func() error {
		if got := s.screen.String(); !strings.Contains(got, want) {
			return errors.New("it shows " + got + ", not " + want)
		}
		return nil
	})
}

// ends waits for the end, after which the terminal has to be as it was.
func (s *stage) ends() error {
	s.t.Helper()
	select {
	case err := <-s.ended:
		if after := modes(s.t, s.keys); after != s.before {
			s.t.Errorf("the terminal was\n%+v and is\n%+v", s.before, after)
		}
		s.shows("\x1b[?25h") // what a guest has set is undone
		return err
	case <-time.After(patience):
		s.t.Fatal("the session goes on")
		return nil
	}
}

// TestEveryByte goes through, both ways.
func TestEveryByte(t *testing.T) {
	s := newStage(t)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	s.press(strings.ReplaceAll(string(all), "\x1d", "\x1d\x1d"))
	s.hears(string(all))
	s.machine.Write(all)
	s.shows(string(all))
	s.press("\x1dq")
	if err := s.ends(); err != nil {
		t.Error(err)
	}
}

func TestMenu(t *testing.T) {
	s := newStage(t)
	s.shows("serialhub: welcome\r\n")
	s.press("a\x1dsb")
	s.shows("\r\nserialhub: one line\r\nand another\r\n")
	s.hears("ab")
	s.press("\x1db")
	s.shows("\r\nserialhub: this machine knows no break\r\n")
	s.press("\x1d?")
	s.shows("\r\nserialhub: after Ctrl-]: q leaves")
	s.press("\x1dx")
	s.press("c")
	s.hears("c")
	s.press("\x1dQ")
	if err := s.ends(); err != nil {
		t.Error(err)
	}
}

// TestDeafMachine does not keep the person from leaving.
func TestDeafMachine(t *testing.T) {
	s := newStage(t)
	for range 100 {
		s.press(strings.Repeat("x", 100))
	}
	s.press("\x1dq")
	if err := s.ends(); err != nil {
		t.Error(err)
	}
}

func TestLineCloses(t *testing.T) {
	s := newStage(t)
	s.machine.Write([]byte("bye"))
	s.machine.Close()
	if err := s.ends(); err != nil {
		t.Error(err)
	}
	s.shows("bye")
}

// TestSignals end the session, but for those that a shell uses to stop and continue it.
func TestSignals(t *testing.T) {
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT} {
		s := newStage(t)
		unix.Kill(os.Getpid(), unix.SIGPIPE)
		unix.Kill(os.Getpid(), signal)
		if err := s.ends(); !errors.Is(err, console.ErrSignal) || !strings.Contains(err.Error(), signal.String()) {
			t.Errorf("%v: %v", signal, err)
		}
	}
}

// panicInTerminal is the process of TestPanic: its line breaks down once it is asked.
func panicInTerminal() {
	session := &console.Session{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Line: &broken{}, Flush: flushed}
	session.Run()
	os.Exit(0)
}

func flushed() error { return nil } // a pipe keeps nothing

type broken struct{ io.Writer }

func (*broken) Read([]byte) (int, error) { panic("a bug") }

func TestPanic(t *testing.T) {
	keys, path := testenv.NewTerminal(t)
	slave, err := testenv.OpenTerminal(path)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	shown := &screen{}
	go io.Copy(shown, keys)
	before := modes(t, keys)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CONSOLE_TEST_PANIC=1")
	cmd.Stdin, cmd.Stdout = slave.File, slave.File
	var says bytes.Buffer
	cmd.Stderr = &says
	if err := cmd.Run(); err == nil || !strings.Contains(says.String(), "panic: a bug") {
		t.Errorf("%v: %s", err, says.String())
	}
	if after := modes(t, keys); after != before {
		t.Errorf("the terminal was\n%+v and is\n%+v", before, after)
	}
	testenv.Eventually(t, patience, "the screen", func() error {
		if !strings.Contains(shown.String(), "\x1b[?25h") {
			return errors.New("it is as the guest has left it")
		}
		return nil
	})
}

// TestPipes sends all that a script has to say, as it is, and leaves when the machine has answered.
func TestPipes(t *testing.T) {
	said := strings.Repeat("\x1dq\x00\xff\x03", 50_000)
	machine, line := net.Pipe()
	defer machine.Close()
	defer line.Close()
	in, script, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	result, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []*os.File{in, script, result, out} {
		defer file.Close()
	}
	go func() {
		script.WriteString(said)
		script.Close()
	}()
	heard := make(chan string, 1)
	go func() {
		got := make([]byte, len(said))
		io.ReadFull(machine, got)
		heard <- string(got)
		for range 4 { // longer than a silence, all of them together
			<-time.After(300 * time.Millisecond)
			machine.Write([]byte("answer "))
		}
	}()
	session := &console.Session{In: in, Out: out, Err: out, Line: line, Welcome: "not for a script", Flush: flushed}
	if err := session.Run(); err != nil {
		t.Error(err)
	}
	if got := <-heard; got != said {
		t.Errorf("the machine has heard %d bytes, or others", len(got))
	}
	out.Close()
	if text, _ := io.ReadAll(result); string(text) != "answer answer answer answer " {
		t.Errorf("the script gets %q", text)
	}
}

// TestNobodyReads ends the session, and not the process before it can give the terminal back.
func TestNobodyReads(t *testing.T) {
	machine, line := net.Pipe()
	defer machine.Close()
	defer line.Close()
	in, script, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	result, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []*os.File{in, script, out} {
		defer file.Close()
	}
	result.Close()
	go machine.Write([]byte("hello"))
	if err := (&console.Session{In: in, Out: out, Err: out, Line: line, Flush: flushed}).Run(); err != nil {
		t.Error(err)
	}
}
