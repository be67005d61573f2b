// Package console makes the terminal of a person the terminal of another machine, and gives it back as it was.
package console

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/term"
)

// Terminal is a terminal that every key goes through unchanged while it is raw. It does not own the file. It is safe for use by many
// goroutines.
type Terminal struct {
	fd int

	mu     sync.Mutex
	before *term.State
	raw    bool
}

// NewTerminal remembers how a terminal is set. It returns nil if the file is not a terminal.
func NewTerminal(file *os.File) (*Terminal, error) {
	fd := int(file.Fd())
	if !term.IsTerminal(fd) {
		return nil, nil //nolint:nilnil // a file that is none is no error
	}
	before, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("the terminal does not say how it is set: %w", err)
	}
	return &Terminal{fd: fd, before: before}, nil
}

// Raw makes it raw, also if somebody else has set it otherwise meanwhile.
func (t *Terminal) Raw() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, err := term.MakeRaw(t.fd); err != nil {
		return fmt.Errorf("the terminal cannot be made raw: %w", err)
	}
	t.raw = true
	return nil
}

// IsRaw tells whether it is raw. A nil one never is.
func (t *Terminal) IsRaw() bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.raw
}

// Restore sets it as it was before it was raw. It may be called at any time, and more than once.
func (t *Terminal) Restore() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.raw {
		return nil
	}
	t.raw = false
	if err := term.Restore(t.fd, t.before); err != nil {
		return fmt.Errorf("the terminal cannot be set as it was; type stty sane: %w", err)
	}
	return nil
}
