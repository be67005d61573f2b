package console

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Page shows a text that changes, as much of it as there is room for, until the person leaves. The terminal is as it was then: the page is in
// its alternate screen.
type Page struct {
	In  *os.File // the keys come from there, if it is a terminal
	Out *os.File // a terminal

	// Draw gives the lines for so many cells: those that stay at the top, and those that are scrolled below. It is called by Run alone.
	Draw func(width int) (top, scrolled []string)

	terminal *Terminal // nil if In is none
	frames   *frames   // nil while the terminal is the person's
	view     view
}

// Run shows the page, and anew whenever redraw says so or the terminal has another size. It returns nil when the person leaves, by a key or
// by a signal, and the cause when the context has ended. A read of In that waits is left behind: the process is about to end.
func (p *Page) Run(ctx context.Context, redraw <-chan struct{}) (err error) {
	if p.terminal, err = NewTerminal(p.In); err != nil {
		return err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTERM, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGPIPE, unix.SIGTSTP, unix.SIGCONT, unix.SIGWINCH)
	defer signal.Stop(signals)
	if err := p.take(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.giveBack()) }()
	typed := make(chan []byte)
	p.view.leave = "Ctrl-C leaves"
	if p.terminal != nil {
		p.view.leave = "q leaves"
		go readKeys(p.In, typed)
	}
	for {
		p.draw()
		var keys []byte
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-redraw:
		case keys = <-typed:
			if keys == nil {
				return nil // the terminal is gone
			}
		case got := <-signals:
			switch got {
			case unix.SIGPIPE, unix.SIGWINCH:
			case unix.SIGTSTP:
				keys = []byte{ctrlZ}
			case unix.SIGCONT:
				err = p.take()
			default:
				return nil
			}
		}
		for err == nil && len(keys) > 0 {
			var meaning int
			switch meaning, keys = p.view.press(keys); meaning {
			case leave:
				return nil
			case suspend:
				err = p.suspend()
			}
		}
		if err != nil {
			return err
		}
	}
}

// readKeys passes on what is typed, and closes the channel when the terminal is gone.
func readKeys(in *os.File, typed chan<- []byte) {
	defer close(typed)
	buffer := make([]byte, 256)
	for {
		n, err := in.Read(buffer)
		if err != nil {
			return
		}
		typed <- append([]byte{}, buffer[:n]...)
	}
}

// suspend gives the terminal back and has the process stopped, with those that were started with it, as Ctrl-Z does; until SIGCONT comes. Where
// there is no shell that could have it go on, it does nothing.
func (p *Page) suspend() error {
	if !hasShell() {
		return nil
	}
	if err := p.giveBack(); err != nil {
		return err
	}
	return unix.Kill(0, unix.SIGSTOP)
}

// hasShell tells whether this process is a job of a shell: that is its parent, and in another group of the same session.
func hasShell() bool {
	parent := os.Getppid()
	group, err := unix.Getpgid(parent)
	if err != nil || group == unix.Getpgrp() {
		return false
	}
	session, err := unix.Getsid(parent)
	own, err2 := unix.Getsid(0)
	return err == nil && err2 == nil && session == own
}

// usualWidth and usualHeight are those of a terminal that does not tell.
const usualWidth, usualHeight = 80, 24

func (p *Page) draw() {
	if p.frames == nil {
		return
	}
	width, height, err := term.GetSize(int(p.Out.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		width, height = usualWidth, usualHeight
	}
	p.frames.show(frame(p.view.lines(height, width, p.Draw)))
}

// take takes the terminal for the page.
func (p *Page) take() error {
	if p.terminal != nil {
		if err := p.terminal.Raw(); err != nil {
			return err
		}
	}
	if p.frames == nil {
		p.frames = newFrames(p.Out)
	}
	return nil
}

// giveBack gives the terminal back as it was.
func (p *Page) giveBack() error {
	if p.frames != nil {
		p.frames.end()
		p.frames = nil
	}
	if p.terminal == nil {
		return nil
	}
	if err := p.terminal.Restore(); err != nil && !errors.Is(err, syscall.EIO) { // with which a terminal answers that was closed
		return fmt.Errorf("giving the terminal back: %w", err)
	}
	return nil
}
