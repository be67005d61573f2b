package console

import "strings"

const help = "after Ctrl-]: q leaves, b sends a break, s shows the link, Ctrl-] sends Ctrl-] itself, ? shows this"

// command obeys a key that was typed after Ctrl-].
func (s *Session) command(key byte) error {
	switch key {
	case 'q', 'Q':
		return errLeave
	case 'b', 'B':
		if err := s.Break(); err != nil {
			s.note(err.Error())
		} else {
			s.note("break sent")
		}
	case 's', 'S':
		text, err := s.Status()
		if err != nil {
			text = err.Error()
		}
		s.note(text)
	default:
		s.note(help)
	}
	return nil
}

// note says something to the person, on lines of its own also where the terminal is raw.
func (s *Session) note(text string) {
	text = "serialhub: " + text + "\n"
	if s.terminal.IsRaw() {
		text = "\r\n" + strings.ReplaceAll(text, "\n", "\r\n")
	}
	s.Err.WriteString(text) //nolint:errcheck // nobody is left to be told
}
