package transcript_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"serialhub/internal/relay"
	"serialhub/internal/render"
	"serialhub/internal/testenv"
	"serialhub/internal/transcript"
)

// A full disk stops the transcript, and not a line is lost or doubled when there is room again.
func TestFullDisk(t *testing.T) {
	for name, c := range map[string]transcript.Config{
		"one file": {},
		"rotated":  {MaxSize: 8192},
		"dated":    {Path: "/dbg-{date}.log"},
		"gzip":     {MaxSize: 8192, Compress: "gzip"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := testenv.Disk(t)
			filler := 45 << 10
			if c.Compress != "" {
				filler = 60 << 10 // so that no file is complete, because compressing it would make room
			}
			testenv.WriteFile(t, dir+"/filler", strings.Repeat("x", filler))
			if c.Path == "" {
				c.Path = "/dbg.log"
			}
			c.Path = dir + c.Path
			l := start(t, c)
			const lines = 2000
			for n := range lines {
				l.say(relay.A, fmt.Sprintf("%015d\n", n+1))
				if n == lines/2 {
					l.stopped("no space left on device")
				}
			}
			files := append(glob(t, dir, "dbg-*"), glob(t, dir, "dbg.log")...)
			for _, path := range files {
				if text := read(t, path); text != "" && !strings.HasSuffix(text, "\n") {
					t.Errorf("%s ends with half a line: %q", path, text[len(text)-20:])
				}
			}
			if mark := l.mark(); mark[relay.A] > 1000*16 {
				t.Errorf("marked %d", mark)
			}
			if err := os.Remove(dir + "/filler"); err != nil {
				t.Fatal(err)
			}
			l.works()
			l.written()
			l.end()
			numbered(t, concatenate(t, append(glob(t, dir, "dbg-*"), glob(t, dir, "dbg.log")...)), lines)
		})
	}
}

// A capture on a full disk can be read.
func TestFullDiskPCAPNG(t *testing.T) {
	dir := testenv.Disk(t)
	testenv.WriteFile(t, dir+"/filler", strings.Repeat("x", 40<<10))
	l := start(t, transcript.Config{Path: dir + "/dbg.pcapng", Format: render.PCAPNG})
	for n := range 500 {
		if l.say(relay.A, fmt.Sprintf("%04d", n)); n == 10 {
			l.written()
		}
	}
	l.stopped("no space left on device")
	if n := len(packets(t, read(t, dir+"/dbg.pcapng"))); n < 11 || n == 500 {
		t.Errorf("%d packets", n)
	}
	if err := os.Remove(dir + "/filler"); err != nil {
		t.Fatal(err)
	}
	l.end()
	if l.mark() != l.said {
		t.Errorf("marked %d of %d", l.mark(), l.said)
	}
	for n, said := range packets(t, read(t, dir+"/dbg.pcapng")) {
		if said != fmt.Sprintf("%04d", n) {
			t.Fatalf("packet %d is %q", n, said)
		}
	}
}
