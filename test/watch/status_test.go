package watch

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// watchStatus has the shell run status --watch, which is then that process.
func (s *screen) watchStatus(arguments string) (pid int) {
	s.h.t.Helper()
	os.Remove(s.h.path("pid"))
	s.command("echo before; sh -c 'echo $$ >" + s.h.path("pid") + "; exec serialhub status --watch --interval 100ms " + arguments + "'; echo it ended with $?")
	s.showsText("q leaves")
	text, err := os.ReadFile(s.h.path("pid"))
	if err == nil {
		pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	if err != nil {
		s.h.t.Fatal(err)
	}
	return pid
}

// terminalState is what a page changes of a terminal.
const terminalState = "#{alternate_on} #{cursor_flag} #{wrap_flag} #{scroll_region_upper},#{scroll_region_lower}"

// However a person leaves the page, the terminal is as it was before.
func TestStatusIsLeft(t *testing.T) {
	signal := func(signal unix.Signal) func(*screen, int) {
		return func(_ *screen, pid int) { unix.Kill(pid, signal) }
	}
	for name, leave := range map[string]func(*screen, int){
		"by q":       func(s *screen, _ int) { s.types("q") },
		"by Ctrl-C":  func(s *screen, _ int) { s.types("", "C-c") },
		"by Ctrl-\\": func(s *screen, _ int) { s.types("", "C-\\") },
		"by SIGTERM": signal(unix.SIGTERM),
		"by SIGHUP":  signal(unix.SIGHUP),
		"by SIGINT":  signal(unix.SIGINT),
		"by SIGQUIT": signal(unix.SIGQUIT),
	} {
		t.Run(name, func(t *testing.T) {
			h := startHub(t, link()+"  - {name: other, a: DIR/c, b: DIR/d}\n")
			h.dialBoth()
			s := h.newScreen()
			before, state := s.modes(), s.is(terminalState)
			pid := s.watchStatus("")
			want := regexp.MustCompile(`^2 links: 1 up, 1 waiting; serialhub \S+, pid \d+, up \d+m?s

NAME   STATE    A +B +A→B  B→A  A→B/s  B→A/s  SINCE
dbg    up       watch.test \d+  watch.test \d+  0 B  0 B  0 B/s  0 B/s +\d+m?s
other  waiting  -  +-  +0 B  0 B  0 B/s  0 B/s +\d+m?s
q leaves$`)
			s.shows("the links", want.MatchString)
			if is := s.is(terminalState); is != "1 0 0 0,39" {
				t.Errorf("the terminal has %s", is)
			}
			leave(s, pid)
			s.showsText("it ended with 0\n")
			text := s.showsPrompt()
			if !strings.Contains(text, "before\nit ended") || strings.Contains(text, "NAME") {
				t.Errorf("the screen is not that before:\n%s", text)
			}
			s.isAsBefore(before, state)
		})
	}
}

func (s *screen) isAsBefore(modes, state string) {
	s.h.t.Helper()
	if after := s.modes(); after != modes {
		s.h.t.Errorf("the terminal was set\n%s\nand is\n%s", modes, after)
	}
	if is := s.is(terminalState); is != state {
		s.h.t.Errorf("the terminal has %s, and had %s", is, state)
	}
	s.types("echo and it $((1+1)) works", "Enter")
	s.showsText("\nand it 2 works\n")
}

// Who stops the program, by Ctrl-Z or from elsewhere, has the terminal, and the page again with fg.
func TestStatusIsSuspended(t *testing.T) {
	for name, stop := range map[string]func(*screen, int){
		"by Ctrl-Z":  func(s *screen, _ int) { s.types("", "C-z") },
		"by SIGTSTP": func(_ *screen, pid int) { unix.Kill(pid, unix.SIGTSTP) },
	} {
		t.Run(name, func(t *testing.T) {
			h := startHub(t, link())
			s := h.newScreen()
			before, state := s.modes(), s.is(terminalState)
			s.command("serialhub status --watch --interval 100ms")
			s.showsText("q leaves")
			pid, err := strconv.Atoi(strings.TrimSpace(s.foreground()))
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				stop(s, pid)
				s.showsPrompt()
				s.isAsBefore(before, state)
				s.types("clear; fg", "Enter")
				s.showsText("q leaves")
				s.showsText("dbg   waiting")
			}
			s.types("q")
			s.showsPrompt()
			s.isAsBefore(before, state)
		})
	}
}

// foreground is the process that has the terminal.
func (s *screen) foreground() string {
	s.h.t.Helper()
	stat, err := os.ReadFile("/proc/" + s.is("#{pane_pid}") + "/stat")
	if err != nil {
		s.h.t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	return fields[5] // tpgid, see proc_pid_stat(5)
}

// Where nobody could have it go on, Ctrl-Z stops nothing.
func TestStatusWithoutAShell(t *testing.T) {
	h := startHub(t, link())
	s := h.newScreen()
	s.tmux("respawn-pane", "-k", "exec serialhub status --watch --interval 100ms")
	s.showsText("dbg   waiting")
	pid, err := strconv.Atoi(s.is("#{pane_pid}"))
	if err != nil {
		t.Fatal(err)
	}
	s.types("", "C-z")
	h.dial("a")
	s.showsText("dbg   half")
	s.types("q")
	h.eventuallyEnds(pid)
}

// eventuallyEnds waits until a process has ended, whether or not somebody has asked how.
func (h *hub) eventuallyEnds(pid int) {
	h.t.Helper()
	h.eventually(fmt.Sprintf("process %d ends", pid), func() error {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && !strings.Contains(string(stat), ") Z ") {
			return fmt.Errorf("it runs: %s", stat)
		}
		return nil
	})
}

// The page follows the terminal's size, and scrolls what it has no room for.
func TestStatusIsResized(t *testing.T) {
	links := link()
	for i := range 50 {
		links += fmt.Sprintf("  - {name: l%02d, a: DIR/l%[1]da, b: DIR/l%[1]db}\n", i)
	}
	h := startHub(t, links)
	h.dialBoth()
	s := h.newScreen()
	s.watchStatus("")
	s.shows("as many links as there is room for", func(text string) bool {
		return strings.Contains(text, "\nl34  ") && strings.HasSuffix(text, "\n1 to 36 of 51, 15 more; arrows scroll, q leaves")
	})
	s.tmux("resize-window", "-x", "60", "-y", "10")
	narrow := regexp.MustCompile(`^51 links: 1 up, 50 waiting; serialhub [^\n]*

NAME  STATE    A[^\n]*
dbg   up       watch[^\n]*
(l0\d  [^\n]*\n){5}1 to 6 of 51, 45 more; arrows scroll, q leaves$`)
	s.shows("less of them, in lines that are shorter", func(text string) bool {
		for line := range strings.Lines(text) {
			if len([]rune(strings.TrimRight(line, "\n"))) > 60 {
				return false
			}
		}
		return narrow.MatchString(text)
	})
	s.types("", "Down")
	s.shows("one further", func(text string) bool {
		return strings.HasSuffix(text, "2 to 7 of 51, 44 more; arrows scroll, q leaves")
	})
	s.types("", "NPage")
	s.shows("a page further", func(text string) bool {
		return strings.HasSuffix(text, "8 to 13 of 51, 38 more; arrows scroll, q leaves")
	})
	s.types("", "End")
	s.shows("the end", func(text string) bool {
		return strings.Contains(text, "\nl49 ") && strings.Contains(text, "\n46 to 51 of 51")
	})
	s.tmux("resize-window", "-x", "200", "-y", "60")
	s.shows("all", func(text string) bool {
		return strings.Contains(text, "dbg   up") && strings.Contains(text, "\nl49 ") && strings.HasSuffix(text, "\nq leaves")
	})
	s.types("q")
	s.showsText("it ended with 0")
}

// A hub that goes is told of on the page, and the page goes on when it is back.
func TestStatusOutlivesTheHub(t *testing.T) {
	h := startHub(t, link())
	a, b := h.dialBoth()
	s := h.newScreen()
	s.watchStatus("dbg")
	s.showsText("dbg   up")
	tell(t, a, b, strings.Repeat("x", 2048))
	s.shows("that bytes cross, and the link in detail", func(text string) bool {
		return strings.Contains(text, "2.0 KiB  0 B") && strings.Contains(text, "\na: listens at unix:"+h.path("a")+"\n")
	})
	h.kill()
	s.shows("that the hub is gone", func(text string) bool {
		return regexp.MustCompile(`^gone for \d+s, trying again: no hub answers at unix:\S+ \(by SERIALHUB_API\): `).MatchString(text) && strings.Contains(text, "2.0 KiB  0 B      -      -")
	})
	h.launch()
	s.shows("that it is back", func(text string) bool {
		return strings.HasPrefix(text, "1 link: 1 waiting; serialhub ") && strings.Contains(text, "dbg   waiting  -  -  0 B  0 B  0 B/s  0 B/s")
	})
	h.reload("  - {name: other, a: DIR/a, b: DIR/b}\n")
	s.showsText("serialhub: there is no link \"dbg\"; the only one is other\nit ended with 1\n")
	s.showsPrompt()
}

// The terminal of who watches is closed, and the program ends.
func TestStatusTerminalIsClosed(t *testing.T) {
	h := startHub(t, link())
	s := h.newScreen()
	pid := s.watchStatus("")
	s.tmux("kill-server")
	h.eventuallyEnds(pid)
}

// Colours, a table on a terminal that has none, and one that knows no sequences.
func TestStatusOnATerminal(t *testing.T) {
	h := startHub(t, link())
	s := h.newScreen()
	for i, row := range []struct {
		line   string
		colors bool
	}{
		{"serialhub status", true},
		{"NO_COLOR=1 serialhub status", false},
		{"TERM=dumb serialhub status", false},
		{"serialhub status | cat", false},
	} {
		s.command(row.line + fmt.Sprintf("; echo line %d has ended", i))
		s.shows("the prompt after it", func(text string) bool {
			return strings.HasSuffix(text, fmt.Sprintf("\nline %d has ended\n%s", i, strings.TrimSpace(prompt)))
		})
		text := s.tmux("capture-pane", "-p", "-e")
		if colors := strings.Contains(text, "\x1b[36mwaiting\x1b["); colors != row.colors || !strings.Contains(text, "waiting") {
			t.Errorf("%s: colours %t:\n%s", row.line, colors, text)
		}
		if terminal := !strings.Contains(row.line, "|"); terminal != strings.Contains(text, "1 link: 1 waiting; serialhub ") {
			t.Errorf("%s:\n%s", row.line, text)
		}
	}
	s.command("TERM=dumb serialhub status --watch --interval 100ms; echo it ended with $?")
	s.shows("a table again and again", func(text string) bool { return strings.Count(text, "\nNAME") > 2 })
	if is := s.is(terminalState); is != "0 1 1 0,39" {
		t.Errorf("the terminal has %s", is)
	}
	s.types("", "C-c")
	s.showsText("it ended with 0\n")
}
