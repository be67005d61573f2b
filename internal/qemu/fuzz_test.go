package qemu_test

import (
	"strings"
	"testing"

	"serialhub/internal/qemu"
)

// FuzzParse reads any command line, for anybody can start a program with any.
func FuzzParse(f *testing.F) {
	f.Add(strings.Join(libvirts, "\x00"))
	f.Add(strings.Join(xens, "\x00"))
	f.Add("kvm\x00-serial\x00unix:,,\x00-mon\x00=\x00-name\x00")
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, "\x00")
		m := qemu.Parse(args)
		for _, s := range m.Chardevs {
			command := s.Change(qemu.Reconnect(true))
			for _, monitor := range m.Monitors {
				if line, ok := monitor.Tell(command); ok && !strings.Contains(line, " | socat -t 2 - ") {
					t.Errorf("%q is told by %q", command, line)
				}
			}
		}
	})
}
