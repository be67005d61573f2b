package transcript_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"serialhub/internal/relay"
	"serialhub/internal/testenv"
	"serialhub/internal/transcript"
)

// logrotate has the real one rotate the transcripts in a folder.
func logrotate(t *testing.T, dir, options string) {
	t.Helper()
	program := testenv.Program(t, "logrotate")
	config := dir + "/logrotate.conf"
	testenv.WriteFile(t, config, fmt.Sprintf("%s/dbg.log {\nrotate 50\nmissingok\n%s\n}\n", dir, options))
	out, err := exec.CommandContext(t.Context(), program, "--force", "--state", dir+"/state", config).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// onHUP has SIGHUP do what the hub does.
func onHUP(t *testing.T, l *link) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGHUP)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range signals {
			l.Reopen()
		}
	}()
	t.Cleanup(func() {
		signal.Stop(signals)
		close(signals)
		<-ended
	})
}

// rotated lists what logrotate has made, oldest first.
func rotated(t *testing.T, dir string) []string {
	files := glob(t, dir, "dbg.log.*")
	number := func(path string) (n int) {
		fmt.Sscanf(strings.TrimPrefix(filepath.Base(path), "dbg.log."), "%d", &n)
		return n
	}
	slices.SortFunc(files, func(p, q string) int { return number(q) - number(p) })
	return files
}

// logrotate moves the file away while it is written, and tells the hub or does not.
func TestLogrotate(t *testing.T) {
	tell := fmt.Sprintf("postrotate\nkill -HUP %d\nendscript", os.Getpid())
	for name, options := range map[string]string{
		"told":             tell,
		"told, compressed": "compress\ndelaycompress\n" + tell,
		"told, created":    "create 0640\n" + tell,
		"not told":         "",
		"created":          "create 0640",
	} {
		t.Run(name, func(t *testing.T) {
			const rotations, lines = 10, 20_000
			dir := testenv.Dir(t)
			l := start(t, transcript.Config{Path: dir + "/dbg.log"})
			onHUP(t, l)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for range rotations {
					if t.Context().Err() == nil {
						logrotate(t, dir, options) // its Fatal ends this goroutine, and the count of files tells
					}
				}
			}()
			n := 0
			for writing := true; writing || n < lines; {
				select {
				case <-ended:
					writing = false
				default:
				}
				l.number(n+1, n+100)
				n += 100
				l.written()
			}
			l.end()
			files := rotated(t, dir)
			if len(files) < rotations/5 { // a file that is not there again yet is not rotated
				t.Errorf("%q", files)
			}
			numbered(t, concatenate(t, append(files, dir+"/dbg.log")), n)
		})
	}
}

// With copytruncate the file is cut short, and goes on from its start.
func TestLogrotateTruncates(t *testing.T) {
	dir := testenv.Dir(t)
	l := start(t, transcript.Config{Path: dir + "/dbg.log"})
	for n := range 5 {
		l.number(n*1000+1, (n+1)*1000)
		l.written() // what comes between the copy and the cut is lost, as logrotate(8) says
		logrotate(t, dir, "copytruncate")
	}
	l.number(5001, 6000)
	l.end()
	files := append(rotated(t, dir), dir+"/dbg.log")
	for _, path := range files {
		if text := read(t, path); len(text) != 19_000 {
			t.Errorf("%s has %d bytes", path, len(text))
		}
	}
	numbered(t, concatenate(t, files), 6000)
}

// A file that was moved away is let go of at once when the transcript is told, though nothing is to be written.
func TestReopens(t *testing.T) {
	dir := testenv.Dir(t)
	path := dir + "/dbg.log"
	l := start(t, transcript.Config{Path: path})
	l.say(relay.A, "before\n")
	l.written()
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	l.Reopen()
	testenv.Eventually(t, patience, "a new file", func() error {
		_, err := os.Stat(path)
		return err
	})
	l.say(relay.A, "after\n")
	l.end()
	if before, after := read(t, path+".1"), read(t, path); before != "a> before\n" || after != "a> after\n" {
		t.Errorf("%q, then %q", before, after)
	}
}
