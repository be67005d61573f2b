package continuity

import (
	"os"
	"syscall"
	"testing"
)

// TestProgramThatCannotTakeOver asks the hub to become something that is none: it logs that, goes on, and takes the next good one.
func TestProgramThatCannotTakeOver(t *testing.T) {
	wrong := map[string]func(*service){
		"a script that fails": func(s *service) { s.program.spoil(t, "#!/bin/sh\nexit 1\n", 0o700) },
		"no program":          func(s *service) { s.program.spoil(t, "this is a text\n", 0o700) },
		"an empty file":       func(s *service) { s.program.spoil(t, "", 0o700) },
		"not executable":      func(s *service) { s.program.spoil(t, "#!/bin/sh\nexit 0\n", 0o600) },
		"no file":             func(s *service) { os.Remove(s.program.path) },
		"another program":     func(s *service) { copyFile(t, "/bin/true", s.program.fresh()); s.program.install(t) },
		"a talkative program": func(s *service) { s.program.spoil(t, "#!/bin/sh\necho serialhub; exit 0\n", 0o700) },
		"a wrong config":      func(s *service) { s.program.upgrade(t); s.write("  - {name: dbg, a: a}\n") },
		"no config":           func(s *service) { s.program.upgrade(t); os.Remove(s.path("links.yaml")) },
	}
	if *full {
		wrong["one that hangs"] = func(s *service) { s.program.spoil(t, "#!/bin/sh\nexec sleep 1000\n", 0o700) }
	}
	for name, spoil := range wrong {
		t.Run(name, func(t *testing.T) {
			each(t, interruptions()[2:], oneLink, func(t *testing.T, s *service, _ interruption) {
				a, b := s.dial("a"), s.dial("b")
				before := s.waitState("dbg", "up")
				converse(t, a, b)
				running, logged := s.exe(), len(s.log())
				spoil(s)
				for range 2 {
					s.signal(syscall.SIGUSR2)
					s.logs(logged, `"level":"ERROR"`, `"level":"WARN"`)
					logged = len(s.log())
					converse(t, a, b)
				}
				if s.exe() != running {
					t.Errorf("the program is another")
				}
				if after := s.link("dbg"); after.State != "up" || !after.Since.Equal(before.Since) {
					t.Errorf("the link was %+v and is %+v", before, after)
				}
				s.write(oneLink)
				s.replace()
				converse(t, a, b)
				s.waitState("dbg", "up")
			})
		})
	}
}

// exe is which file the process runs, by its inode.
func (s *service) exe() uint64 {
	s.t.Helper()
	info, err := os.Stat(procFile(s.process.pid, "exe"))
	if err != nil {
		s.t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}
