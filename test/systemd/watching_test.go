package systemd

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"serialhub/test/container"
)

// TestWatchingConfinedHub has the packaged hub keep scrollback, write a transcript and be tapped, and kills it: nothing of either is lost.
func TestWatchingConfinedHub(t *testing.T) {
	if !inContainer(t) {
		return
	}
	const transcript = "/var/log/serialhub/dbg.log"
	h := packaged(t, "")
	h.writeConfig(t, fmt.Sprintf("  - {name: dbg, a: %s, b: %s, scrollback: 64KiB, transcript: {file: '/var/log/serialhub/{link}.log', timestamps: false}}\n",
		h.socket("dbg", "a"), h.socket("dbg", "b")))
	h.start(t, "dbg")
	a, b := container.Connect(t, h.socket("dbg", "a")), container.Connect(t, h.socket("dbg", "b"))
	h.waitState(t, "dbg", "up")
	for i := range 3 {
		line := fmt.Sprintf("line %d\n", i)
		a.Say(t, line)
		b.Hear(t, line)
		h.Kill(t, "KILL")
		h.WaitProperty(t, "NRestarts", fmt.Sprint(i+1))
	}
	h.waitState(t, "dbg", "up")
	container.Eventually(t, "the transcript has all lines, once each", func() error {
		text, err := os.ReadFile(transcript)
		if err == nil && string(text) != "a> line 0\na> line 1\na> line 2\n" {
			err = fmt.Errorf("it says %q", text)
		}
		return err
	})
	output, err := container.Run("/usr/local/bin/serialhub", "tap", "dbg", "--api", "unix:"+h.apiSocket(), "--since-start", "--no-follow", "--format", "raw")
	if err != nil || output != strings.TrimSpace("line 0\nline 1\nline 2\n") {
		t.Errorf("the scrollback is %q, %v", output, err)
	}
	if output, err := container.Run("stat", "--format=%U %a", "/var/log/serialhub", transcript); err != nil || output != "serialhub 750\nserialhub 600" {
		t.Errorf("the files are %q, %v", output, err)
	}
}
