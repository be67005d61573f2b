package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// about says what was measured, where and how.
func about(o options, contenders []contender, dir string, took time.Duration) string {
	var parts []string
	for _, c := range contenders {
		if len(c.version) > 0 {
			parts = append(parts, c.name+": "+versionOf(c.version))
		}
	}
	parts = append(parts, fmt.Sprintf("%s, %d processors, sockets in %s, %d rounds with runs of %v, %v in all",
		kernel(), runtime.NumCPU(), filepath.Dir(dir), o.rounds, o.time, took.Round(time.Second)))
	return strings.Join(parts, "; ")
}

// versionOf is the first line in which a program names its version.
func versionOf(command []string) string {
	text, err := exec.Command(command[0], command[1:]...).Output()
	if err != nil {
		return "unknown version"
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "version") || strings.HasPrefix(line, "serialhub ") {
			return strings.TrimSpace(line)
		}
	}
	return "unknown version"
}

func kernel() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "unknown kernel"
	}
	text := func(field [65]byte) string { return unix.ByteSliceToString(field[:]) }
	return text(name.Sysname) + " " + text(name.Release) + " " + text(name.Machine)
}
