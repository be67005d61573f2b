package console

import (
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	// typeahead is how much may be typed that the machine has not read, in bytes. Beyond that the keyboard is not read, and so Ctrl-] is not
	// heard either.
	typeahead = 1 << 20
	// silence is how long the machine must have said nothing before a session leaves whose input has ended.
	silence = 500 * time.Millisecond
	// pieceSize is how much is read at once, in bytes.
	pieceSize = 32 << 10
)

// listen writes what the machine says.
func (s *Session) listen() error {
	piece := make([]byte, pieceSize)
	for {
		n, err := s.Line.Read(piece)
		if n > 0 {
			if err := s.show(piece[:n]); err != nil {
				return fmt.Errorf("what was said cannot be written: %w", err)
			}
		}
		if err != nil {
			return err
		}
	}
}

func (s *Session) show(p []byte) error {
	s.outMu.Lock()
	defer s.outMu.Unlock()
	if s.muted {
		return nil
	}
	s.shown.see(p)
	_, err := s.Out.Write(p)
	s.heard.Store(int64(time.Since(s.begin))) // after, because a slow reader is no silence
	return err
}

// speak says to the machine what was typed.
func (s *Session) speak(typed *queue) error {
	for {
		p, err := typed.take()
		if err != nil {
			if s.Flush() != nil {
				return errPart // as below
			}
			return s.untilSilent()
		}
		if _, err := s.Line.Write(p); err != nil {
			return errPart // whoever reads the line hears why it is closed
		}
	}
}

// untilSilent waits until the machine has answered, after the end of the input.
func (s *Session) untilSilent() error {
	said := time.Since(s.begin)
	for {
		quiet := time.Since(s.begin) - max(said, time.Duration(s.heard.Load()))
		if quiet >= silence {
			return errLeave
		}
		select {
		case <-time.After(silence - quiet):
		case <-s.done:
			return errPart
		}
	}
}

// read takes the input apart, until it ends.
func (s *Session) read(typed *queue) error {
	var keys keys
	piece := make([]byte, pieceSize)
	for {
		n, err := s.In.Read(piece)
		if s.terminal == nil && n > 0 {
			if typed.put(piece[:n]) != nil {
				return errPart
			}
		} else if stop := keys.split(piece[:n], typed.put, s.command); stop != nil {
			return stop
		}
		switch {
		case errors.Is(err, io.EOF):
			typed.close()
			return errPart
		case err != nil:
			return fmt.Errorf("the input cannot be read: %w", err)
		}
	}
}
