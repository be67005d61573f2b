package watch

import (
	"fmt"
	"strings"
	"testing"
)

// hostile is what a guest may print to do something to the terminal of who watches it: a title, another screen, a cursor elsewhere, no text any
// more, what has not been said, questions that the terminal answers by typing, and the same with the controls of 8 bits and of UTF-8.
const hostile = "\x1b]2;owned\x07\x1bkowned\x1b\\\x1b[?1049h\x1b[10;10Hmoved\x1b[2J\x1b[Hcleared\x1b[31m\x1b[?25l\x1b[8m" +
	"\x1b[6n\x1b[c\x05\x1bP$q\"p\x1b\\\x1b[3;1H\rfaked\b\b\x9b2J\x9d2;owned\x9c\u009b2J\u202etxt.exe\u200b\x0e\x1b(0\x1bc\xff\xfe\n"

// A guest cannot do anything to the terminal of who watches it in hex or text.
func TestHostileGuestIsWatched(t *testing.T) {
	h := startHub(t, link("scrollback: 4KiB"))
	a, b := h.dialBoth()
	tell(t, a, b, hostile)
	for _, format := range []string{"hex", "text", "json"} {
		t.Run(format, func(t *testing.T) {
			want := h.must("tap", "dbg", "--format", format, "--since-start", "--no-follow")
			s := h.newScreen()
			title := s.is("#{pane_title} #{window_name}")
			s.command("exec 3>&2; serialhub tap dbg --since-start --format " + format + "; echo left with $?")
			rows := 0 // on the screen
			for line := range strings.Lines(want) {
				rows += (len(line)-2)/120 + 1
			}
			s.shows("exactly what was said", func(text string) bool { return text == strings.TrimSpace(want) })
			wantIs := fmt.Sprintf("%s 0,%d 0 1", title, rows)
			if is := s.is("#{pane_title} #{window_name} #{cursor_x},#{cursor_y} #{alternate_on} #{cursor_flag}"); is != wantIs {
				t.Errorf("the terminal has %q, want %q", is, wantIs)
			}
			s.types("", "C-c")
			s.showsText("left with 0")
			text := s.showsPrompt()
			if lines := strings.Split(text, "\n"); lines[len(lines)-1] != strings.TrimSpace(prompt) || strings.Contains(text, "not found") {
				t.Errorf("something was typed:\n%s", text)
			}
		})
	}
}

// Attach is a terminal of the guest, and whatever the guest does to it is undone at the end.
func TestHostileGuestIsAttached(t *testing.T) {
	h := startHub(t, link())
	s := h.newScreen()
	before := s.modes()
	g := newGuest(t, h.dial("a"), nil)
	s.command("echo before; serialhub attach dbg --end b")
	s.showsText("attached to end b of dbg")
	g.print("\x1b]2;owned\x07\x1b[?1049h\x1b[2J\x1b[10;10Hmoved\x1b[?25l\x1b[?1000h\x1b[?2004h\x1b(0\x1b[5;10r\x1b[31m")
	s.showsText("moved")
	h.eventually("the guest has the terminal", func() error {
		const want = "owned 1 0 1 4,9"
		if is := s.is("#{pane_title} #{alternate_on} #{cursor_flag} #{mouse_standard_flag} #{scroll_region_upper},#{scroll_region_lower}"); is != want {
			return fmt.Errorf("the terminal has %q", is)
		}
		return nil
	})
	s.types("", "C-]", "q")
	text := s.showsPrompt()
	if !strings.Contains(text, "before\n") || strings.Contains(text, "moved") {
		t.Errorf("the screen is not that before:\n%s", text)
	}
	if is := s.is("#{alternate_on} #{cursor_flag} #{mouse_standard_flag} #{scroll_region_upper},#{scroll_region_lower}"); is != "0 1 0 0,39" {
		t.Errorf("the terminal has %q", is)
	}
	s.types("echo qqq", "Enter")
	s.showsText("\nqqq\n") // and not a line
	if after := s.modes(); after != before {
		t.Errorf("the terminal was set\n%s\nand is\n%s", before, after)
	}
}
