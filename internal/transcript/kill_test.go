package transcript_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"serialhub/internal/relay"
	"serialhub/internal/render"
	"serialhub/internal/testenv"
	"serialhub/internal/transcript"
	"serialhub/internal/watch"
)

// writerEnv has the test binary be a process that writes a transcript, into the file that it names.
const writerEnv = "SERIALHUB_TEST_WRITER"

// tapeFD is where it finds the memory of the tape.
const tapeFD = 3

// writeForEver puts lines with numbers on the tape, and the transcript into the file, until the process is killed.
func writeForEver() {
	tape, err := watch.Adopt(tapeFD, 0)
	if err != nil {
		panic(err)
	}
	reader, left := transcriptReader(tape)
	now := tape.Now()
	n := now.Position()[relay.A] / 16
	now.Close()
	marked := make(chan watch.Position, 1)
	go transcript.New(killedConfig(os.Getenv(writerEnv)), "dbg", transcript.Deps{
		Reader: reader,
		Left:   left,
		Mark: func(m watch.Mark) {
			tape.Mark(m)
			select {
			case <-marked:
			default:
			}
			marked <- m.Position
		},
		Report: func(err error) { panic(err) },
		Log:    slog.New(slog.DiscardHandler),
	}).Run(context.Background())
	for {
		n++
		if tape.Saw(relay.A, fmt.Appendf(nil, "%015d\n", n), 0); n%8192 == 0 {
			for p := range marked { // so that it is not overtaken
				if p[relay.A] == n*16 {
					break
				}
			}
		}
	}
}

func killedConfig(path string) transcript.Config {
	return transcript.Config{Path: path, Format: render.Text, Sides: []relay.Side{relay.A}, MaxSize: 256 << 10, Compress: "gzip"}
}

// transcriptReader goes on where the transcript ended.
func transcriptReader(tape *watch.Tape) (*watch.Reader, watch.Mark) {
	left, _ := tape.Marked()
	return tape.From(left.Position), left
}

// After a kill the transcript goes on where it ended: each line is there once.
func TestKilled(t *testing.T) {
	dir := testenv.Dir(t)
	tape, err := watch.New(watch.Position{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	memory, err := os.OpenFile("/proc/self/fd/"+strconv.Itoa(tape.Kept()), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	const kills = 8
	for range kills {
		before, _ := tape.Marked()
		writer := exec.CommandContext(t.Context(), os.Args[0])
		writer.Env = append(os.Environ(), writerEnv+"="+dir+"/dbg.log")
		writer.ExtraFiles = []*os.File{memory}
		writer.Stderr = t.Output()
		if err := writer.Start(); err != nil {
			t.Fatal(err)
		}
		testenv.Eventually(t, patience, "the writer writes", func() error {
			if now, _ := tape.Marked(); now.Position[relay.A] < before.Position[relay.A]+800<<10 {
				return fmt.Errorf("%d, %d before", now, before)
			}
			return nil
		})
		if err := writer.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		writer.Wait() // it was killed
	}
	tape.Close()
	tape, err = watch.Adopt(int(memory.Fd()), 0)
	if err != nil {
		t.Fatal(err)
	}
	reader, left := transcriptReader(tape)
	l := &link{t: t, tape: tape, left: left}
	now := tape.Now()
	last := int(now.Position()[relay.A]/16) + 1
	now.Close()
	tape.Saw(relay.A, fmt.Appendf(nil, "%015d\n", last), 0)
	c := killedConfig(dir + "/dbg.log")
	c.MaxSize = 4096 // so that what was left in the middle of compressing is seen to
	l.run(c, reader)
	l.end()
	next := 1
	text := concatenate(t, append(glob(t, dir, "dbg-*"), dir+"/dbg.log"))
	for line := range strings.Lines(text) {
		if want := fmt.Sprintf("a> %015d\n", next); line != want {
			t.Fatalf("%q instead of %q", line, want)
		}
		next++
	}
	if next != last+1 {
		t.Errorf("%d lines of %d", next-1, last)
	}
}
