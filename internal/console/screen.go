package console

import (
	"bytes"
	"slices"
)

// screen knows of what a machine has said whether a terminal shows its alternate screen. One must not leave a screen that was not
// entered: the cursor would jump to wherever it was when somebody did.
type screen struct {
	alternate bool
	tail      []byte // of what was said, where a sequence may have begun
}

const enterAlternate, leaveAlternate = "\x1b[?1049h", "\x1b[?1049l"

// see takes what is said next, and keeps nothing of it.
func (s *screen) see(p []byte) {
	text := slices.Concat(s.tail, p)
	entered, left := bytes.LastIndex(text, []byte(enterAlternate)), bytes.LastIndex(text, []byte(leaveAlternate))
	if entered != left {
		s.alternate = entered > left
	}
	s.tail = append(s.tail[:0], text[max(0, len(text)-len(enterAlternate)+1):]...)
}

// sane is what undoes in a terminal what a machine may have set in it, and moves neither the cursor nor what is shown: a sequence that is
// not complete (CAN), the alternate screen, the region that scrolls, the keypad, the cursor's keys, line wrap, insertion, reports of the mouse and of
// the focus, bracketed paste, a hidden cursor, a character set that draws lines, and colours.
func (s *screen) sane() string {
	leave := ""
	if s.alternate {
		leave = leaveAlternate
	}
	s.alternate = false
	return "\x18" + leave + "\x1b[?1047l" + "\x1b7\x1b[r\x1b8" + "\x1b>\x1b[?1l" + "\x1b[?7h" + "\x1b[4l" +
		"\x1b[?1000;1002;1003;1004;1005;1006;1015l" + "\x1b[?2004l" + "\x1b[?25h" + "\x1b(B\x0f" + "\x1b[0m"
}
