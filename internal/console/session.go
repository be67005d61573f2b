package console

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Session joins a person, or a script, to a machine, once.
type Session struct {
	In       *os.File      // a terminal; or anything else, all of whose bytes are for the machine, and at whose end the session leaves
	Out, Err *os.File      // where the machine speaks, and where notes go
	Line     io.ReadWriter // the machine; one goroutine reads and another writes

	Welcome string                 // says how to leave
	Notice  string                 // said at the beginning, to a script too; "" for nothing
	Flush   func() error           // waits until all that was written to Line has been read
	Status  func() (string, error) // how the link is, in lines
	Break   func() error           // sends a break

	terminal *Terminal     // nil if In is none
	over     chan error    // how parts of the session have ended
	done     chan struct{} // is closed when the session has

	outMu sync.Mutex // held while Out is written to
	shown screen     // what was written to it
	muted bool       // the terminal is given back, and what the machine says has no place there any more

	begin time.Time
	heard atomic.Int64 // when the machine spoke last, since begin
}

// ErrSignal says that a signal has ended the session.
var ErrSignal = errors.New("ended by a signal")

var (
	errLeave = errors.New("left")       // as the person wants
	errPart  = errors.New("part ended") // a part of the session ends, and the others go on
)

// Run copies both ways until the person leaves (nil), the input has ended and the machine is silent (nil), the line closes (its error; nil
// for io.EOF), nobody reads the output any more (nil), or a signal comes (ErrSignal). In is raw meanwhile, if it is a terminal, and then as it was. A read of In
// that waits is left behind, and one of Line until that is closed: the process is about to end.
func (s *Session) Run() (err error) {
	if s.terminal, err = NewTerminal(s.In); err != nil {
		return err
	}
	signals := make(chan os.Signal, 8)
	// With SIGPIPE, which would end the process in a raw terminal, a write fails instead.
	signal.Notify(signals, unix.SIGTERM, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGPIPE, unix.SIGTSTP, unix.SIGCONT)
	defer signal.Stop(signals)
	s.over, s.done, s.begin = make(chan error, 3), make(chan struct{}), time.Now() // three parts
	defer close(s.done)
	if s.terminal != nil {
		s.note(s.Welcome)
	}
	if s.Notice != "" {
		s.note(s.Notice)
	}
	if err := s.take(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.giveBack()) }()
	typed := newQueue(typeahead)
	defer typed.close()
	s.spawn(s.listen)
	s.spawn(func() error { return s.speak(typed) })
	s.spawn(func() error { return s.read(typed) })
	for err == nil {
		select {
		case err = <-s.over:
			if errors.Is(err, errPart) {
				err = nil
			}
		case got := <-signals:
			err = s.obey(got)
		}
	}
	if errors.Is(err, errLeave) || errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

// spawn runs a part of the session. Should it panic, the terminal is given back first: that ends the process, and nobody else could.
func (s *Session) spawn(part func() error) {
	go func() {
		defer func() {
			if r := recover(); r != nil {
				s.giveBack() //nolint:errcheck // the panic is what matters
				panic(r)
			}
		}()
		s.over <- part()
	}()
}

// obey does what a signal asks for, and returns an error if that is to end.
func (s *Session) obey(got os.Signal) error {
	switch got {
	case unix.SIGPIPE:
		return nil
	case unix.SIGTSTP: // a Ctrl-Z that was typed went to the machine; this has come from elsewhere
		if err := s.giveBack(); err != nil {
			return err
		}
		s.unmute() // what is said before all of the process stands still is shown, not lost
		return unix.Kill(os.Getpid(), unix.SIGSTOP)
	case unix.SIGCONT:
		return s.take()
	default:
		return fmt.Errorf("%w: %s", ErrSignal, got)
	}
}

// take makes the terminal the machine's.
func (s *Session) take() error {
	s.unmute()
	if s.terminal == nil {
		return nil
	}
	return s.terminal.Raw()
}

func (s *Session) unmute() {
	s.outMu.Lock()
	defer s.outMu.Unlock()
	s.muted = false
}

// giveBack makes the terminal the person's again.
func (s *Session) giveBack() error {
	var err error
	if s.terminal != nil {
		err = s.terminal.Restore()
	}
	cleaned := make(chan struct{})
	go func() {
		defer close(cleaned)
		s.outMu.Lock()
		defer s.outMu.Unlock()
		if !s.muted && term.IsTerminal(int(s.Out.Fd())) {
			end := ""
			if s.terminal != nil {
				end = "\r\n" // whatever comes next begins a line
			}
			s.Out.WriteString(s.shown.sane() + end) //nolint:errcheck // if the terminal is gone, so is what was set
		}
		s.muted = true
	}()
	select {
	case <-cleaned:
	case <-time.After(time.Second): // a terminal that takes nothing any more
	}
	return err
}
