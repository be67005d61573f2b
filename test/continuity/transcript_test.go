package continuity

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"
)

// atOnce is how much each peer says at most until the transcript has it, so that no busy disk makes it miss some.
const atOnce = 384 << 10

// transcribe is a link with a transcript in small files.
func transcribe(name, format string) string {
	return fmt.Sprintf("  - {name: dbg, a: a, b: b, transcript: {file: %s, format: %s, timestamps: false, max_size: 256KiB, keep: 0}}\n", name, format)
}

// TestTranscriptOutlivesTheHub interrupts the hub while peers say lines to each other: each line is in the files once, and in order.
func TestTranscriptOutlivesTheHub(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			each(t, interruptions(), transcribe("dbg.log", format), func(t *testing.T, s *service, cause interruption) {
				a, b := s.dial("a"), s.dial("b")
				s.waitState("dbg", "up")
				var l lines
				for range sized(50, 6) {
					done := make(chan error, 1)
					go func() { done <- l.exchange(a, b, atOnce) }()
					pass(time.Duration(rand.Int64N(int64(4 * time.Millisecond))))
					cause.happen(s)
					if err := <-done; err != nil {
						t.Fatal(err)
					}
					s.waitTranscript(&l, format, func() []string { return s.transcriptFiles("dbg.log") })
				}
			})
		})
	}
}

// TestTranscriptFollowsTheConfig has the transcript go to another file, and to none, while peers say lines to each other: all lines are there, some in
// one file and the others in the next.
func TestTranscriptFollowsTheConfig(t *testing.T) {
	each(t, changes(), transcribe("one.log", "text"), func(t *testing.T, s *service, cause interruption) {
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		var l lines
		files := []string{"one.log"}
		all := func() (paths []string) {
			for _, name := range files {
				paths = append(paths, s.transcriptFiles(name)...)
			}
			return paths
		}
		for _, name := range []string{"two.log", "three.log", "four.log"} {
			done := make(chan error, 1)
			go func() { done <- l.exchange(a, b, atOnce) }()
			if cause.name == "kill" { // what it could not mark stays in the file that it has left
				done <- <-done
			}
			pass(time.Duration(rand.Int64N(int64(4 * time.Millisecond))))
			cause.rewrite(s, transcribe(name, "text"))
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			s.waitFile(name)
			files = append(files, name)
			s.waitTranscript(&l, "text", all)
		}
		cause.rewrite(s, oneLink)
		s.waitTapes(0)
		converse(t, a, b)
		cause.rewrite(s, transcribe("five.log", "text"))
		s.waitTapes(1)
		l, files = lines{}, []string{"five.log"}
		if err := l.exchange(a, b, window); err != nil {
			t.Fatal(err)
		}
		s.waitTranscript(&l, "text", all)
		if status := s.waitState("dbg", "up"); status.Sessions != 1 {
			t.Errorf("the link is %+v", status)
		}
	})
}

// TestTranscriptOfARenamedLink renames a link while peers say lines to each other: the transcript goes on in the file of the new name.
func TestTranscriptOfARenamedLink(t *testing.T) {
	each(t, changes(), transcribe("'{link}.log'", "text"), func(t *testing.T, s *service, cause interruption) {
		a, b := s.dial("a"), s.dial("b")
		s.waitState("dbg", "up")
		var l lines
		if err := l.exchange(a, b, atOnce); err != nil {
			t.Fatal(err)
		}
		s.waitTranscript(&l, "text", func() []string { return s.transcriptFiles("dbg.log") })
		cause.rewrite(s, strings.Replace(transcribe("'{link}.log'", "text"), "dbg", "other", 1))
		if err := l.exchange(a, b, atOnce); err != nil {
			t.Fatal(err)
		}
		s.waitTranscript(&l, "text", func() []string { return append(s.transcriptFiles("dbg.log"), s.transcriptFiles("other.log")...) })
	})
}

// TestTranscriptOfAStoppedLink stops a link and starts it again: its transcript goes on.
func TestTranscriptOfAStoppedLink(t *testing.T) {
	each(t, interruptions(), transcribe("dbg.log", "text"), func(t *testing.T, s *service, cause interruption) {
		var l lines
		for range 3 {
			a, b := s.dial("a"), s.dial("b")
			s.waitState("dbg", "up")
			if err := l.exchange(a, b, window); err != nil {
				t.Fatal(err)
			}
			s.post("/links/dbg/stop")
			hearEnd(t, a, "")
			cause.happen(s)
			s.waitTranscript(&l, "text", func() []string { return s.transcriptFiles("dbg.log") })
			s.ready()
			s.post("/links/dbg/start")
			s.waitState("dbg", "waiting")
		}
	})
}

// TestTranscriptAfterARefusedUpgrade asks the hub to become something that is no hub: the transcript goes on as if nothing had been.
func TestTranscriptAfterARefusedUpgrade(t *testing.T) {
	wrong := map[string]func(*service){
		"no program":       func(s *service) { s.program.spoil(t, "this is a text\n", 0o700) },
		"one that is gone": func(s *service) { s.program.spoil(t, gone, 0o700) },
	}
	for name, spoil := range wrong {
		t.Run(name, func(t *testing.T) {
			each(t, interruptions()[2:], transcribe("dbg.log", "text"), func(t *testing.T, s *service, _ interruption) {
				a, b := s.dial("a"), s.dial("b")
				s.waitState("dbg", "up")
				var l lines
				logged := len(s.log())
				for range 3 {
					spoil(s)
					done := make(chan error, 1)
					go func() { done <- l.exchange(a, b, atOnce) }()
					s.signal(syscall.SIGUSR2)
					s.logs(logged, `"level":"ERROR"`)
					logged = len(s.log())
					if err := <-done; err != nil {
						t.Fatal(err)
					}
					s.waitTranscript(&l, "text", func() []string { return s.transcriptFiles("dbg.log") })
				}
				s.replace()
				if err := l.exchange(a, b, window); err != nil {
					t.Fatal(err)
				}
				s.waitTranscript(&l, "text", func() []string { return s.transcriptFiles("dbg.log") })
				s.waitTapes(1)
			})
		})
	}
}

// gone passes for a hub when it is asked, and is no program any more when the hub is to become that.
const gone = `#!/bin/sh
case $1 in
version) echo serialhub of the next year;;
check) rm "$0"; exit 0;;
esac
`
