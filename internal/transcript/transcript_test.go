package transcript_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/relay"
	"serialhub/internal/render"
	"serialhub/internal/testenv"
	"serialhub/internal/transcript"
	"serialhub/internal/watch"
)

func TestFormats(t *testing.T) {
	for format, want := range map[render.Format]string{
		render.Text: "2000-01-01T00:00:00.000000Z a> hello\n2000-01-01T00:00:00.000000Z b> world\n",
		render.Raw:  "hello\nworld\n",
		render.Hex: "-- 2000-01-01 +00:00 --\n" +
			"00:00:00.000000  a>b  00000000  68 65 6c 6c 6f 0a                                 |hello.|\n" +
			"00:00:00.000000  b>a  00000000  77 6f 72 6c 64 0a                                 |world.|\n",
		render.JSON: `{"time":"2000-01-01T00:00:00Z","end":"a","offset":0,"data":"aGVsbG8K"}` + "\n" +
			`{"time":"2000-01-01T00:00:00Z","end":"b","offset":0,"data":"d29ybGQK"}` + "\n",
	} {
		t.Run(string(format), func(t *testing.T) {
			path := filepath.Join(testenv.Dir(t), "new", "dbg.log")
			synctest.Test(t, func(t *testing.T) {
				l := start(t, transcript.Config{Path: path, Format: format, Timestamps: true})
				l.say(relay.A, "hello\n")
				l.say(relay.B, "world\n")
				l.end()
			})
			if got := read(t, path); got != want {
				t.Errorf("%q instead of %q", got, want)
			}
		})
	}
}

func TestModes(t *testing.T) {
	dir := filepath.Join(testenv.Dir(t), "new")
	start(t, transcript.Config{Path: dir + "/dbg.log"}).end()
	for path, want := range map[string]os.FileMode{dir: os.ModeDir | 0o750, dir + "/dbg.log": 0o640} {
		if info, err := os.Stat(path); err != nil || info.Mode()&^0o022 != want&^0o022 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

func TestEnds(t *testing.T) {
	for name, test := range map[string]struct {
		sides []relay.Side
		file  string
		want  map[string]string
	}{
		"a file for each":        {nil, "{link}-{end}.log", map[string]string{"dbg-a.log": "a> from a\n", "dbg-b.log": "b> from b\n"}},
		"one end":                {[]relay.Side{relay.B}, "{link}.log", map[string]string{"dbg.log": "b> from b\n"}},
		"one end, with its name": {[]relay.Side{relay.A}, "{end}.log", map[string]string{"a.log": "a> from a\n"}},
		"both":                   {nil, "x", map[string]string{"x": "a> from a\nb> from b\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := testenv.Dir(t)
			l := start(t, transcript.Config{Path: filepath.Join(dir, test.file), Sides: test.sides})
			l.say(relay.A, "from a\n")
			l.say(relay.B, "from b\n")
			l.written() // what is not written is marked as well
			l.end()
			for file, want := range test.want {
				if got := read(t, filepath.Join(dir, file)); got != want {
					t.Errorf("%s: %q instead of %q", file, got, want)
				}
			}
			if files := glob(t, dir, "*"); len(files) != len(test.want) {
				t.Errorf("%q", files)
			}
		})
	}
}

// A line that is not complete is not marked before it is in the file, and is there after a while.
func TestIncomplete(t *testing.T) {
	for format, test := range map[render.Format]struct {
		delay time.Duration
		want  string
	}{
		render.Text: {time.Second, "a> login: \\\n"},
		render.Hex:  {100 * time.Millisecond, "|login: |\n"},
	} {
		t.Run(string(format), func(t *testing.T) {
			path := filepath.Join(testenv.Dir(t), "dbg.log")
			synctest.Test(t, func(t *testing.T) {
				l := start(t, transcript.Config{Path: path, Format: format})
				synctest.Wait()
				l.say(relay.A, "login: ")
				<-time.After(test.delay - time.Millisecond)
				synctest.Wait()
				if mark := l.mark(); mark != (watch.Position{}) || read(t, path) != "" {
					t.Errorf("early: %d, %q", mark, read(t, path))
				}
				<-time.After(2 * time.Millisecond)
				synctest.Wait()
				if got := read(t, path); !strings.HasSuffix(got, test.want) || l.mark() != l.said {
					t.Errorf("%d, %q", l.mark(), got)
				}
				l.say(relay.A, "root")
			})
			if got := read(t, path); !strings.Contains(got, "root") {
				t.Errorf("the end is missing: %q", got)
			}
		})
	}
}

// A side that never stops does not keep what the other one has said from being written.
func TestIncompleteBesideOther(t *testing.T) {
	path := filepath.Join(testenv.Dir(t), "dbg.log")
	synctest.Test(t, func(t *testing.T) {
		l := start(t, transcript.Config{Path: path})
		l.say(relay.B, "login: ")
		for range 15 {
			<-time.After(100 * time.Millisecond)
			l.say(relay.A, "noise\n")
		}
		synctest.Wait()
		if got := read(t, path); !strings.Contains(got, `b> login: \`) {
			t.Errorf("%q", got)
		}
	})
}

// When the context ends, all that is on the tape is written still.
func TestContextEnds(t *testing.T) {
	path := filepath.Join(testenv.Dir(t), "dbg.log")
	synctest.Test(t, func(t *testing.T) {
		l := start(t, transcript.Config{Path: path})
		for n := range 20000 {
			l.say(relay.A, fmt.Sprintf("%015d\n", n+1))
		}
		l.say(relay.B, "incomplete")
		l.cancel(nil)
		l.wait()
		if l.mark() != l.said {
			t.Errorf("marked %d of %d", l.mark(), l.said)
		}
		l.tape.Close()
		l.tape = nil
	})
	text, last, _ := strings.Cut(read(t, path), "b> ")
	if numbered(t, text, 20000); last != "incomplete\\\n" {
		t.Errorf("%q", last)
	}
}

// Who goes on where another one has ended gets lines whole that were not complete then.
func TestHandedOver(t *testing.T) {
	c := transcript.Config{Path: testenv.Dir(t) + "/dbg.log"}
	l := start(t, c)
	l.say(relay.A, "whole\nhalf")
	l.say(relay.B, "login: ")
	l.cancel(transcript.ErrHandedOver)
	l.wait()
	l.run(c, l.tape.From(l.mark()))
	l.say(relay.A, " and half\n")
	l.say(relay.B, "root\n")
	l.written()
	l.end()
	if got := read(t, c.Path); got != "a> whole\na> half and half\nb> login: root\n" {
		t.Errorf("%q", got)
	}
}

// What is not a regular file is refused, and nothing is done to it.
func TestOthersFiles(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"symbolic link":   func(path string) error { return os.Symlink(filepath.Dir(path)+"/elsewhere", path) },
		"FIFO":            func(path string) error { return unix.Mkfifo(path, 0o600) },
		"device":          func(path string) error { return unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))) },
		"folder":          func(path string) error { return os.Mkdir(path, 0o700) },
		"FIFO with a cat": fifoWithReader(t),
		"socket": func(path string) error {
			return unix.Mknod(path, unix.S_IFSOCK|0o600, 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(testenv.Dir(t), "dbg.log")
			if err := make(path); errors.Is(err, unix.EPERM) {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			l := start(t, transcript.Config{Path: path})
			l.say(relay.A, "hello\n")
			kind, _, _ := strings.Cut(name, " with")
			l.stopped(path + ": it is a " + kind + ", and a transcript is written to a regular file only; name another one")
			if _, err := l.report(); strings.Contains(err.Error(), "remove") {
				t.Errorf("what may be dear to somebody is to be removed: %v", err)
			}
			if after, err := os.Lstat(path); err != nil || after.Mode() != before.Mode() {
				t.Errorf("%v, %v", after, err)
			}
			if files := glob(t, filepath.Dir(path), "*"); len(files) != 1 {
				t.Errorf("%q", files)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			l.works()
			l.end()
			if got := read(t, path); got != "a> hello\n" {
				t.Errorf("%q", got)
			}
		})
	}
}

func fifoWithReader(t *testing.T) func(path string) error {
	return func(path string) error {
		if err := unix.Mkfifo(path, 0o600); err != nil {
			return err
		}
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err == nil {
			t.Cleanup(func() { unix.Close(fd) })
		}
		return err
	}
}

// A folder that is removed comes back, and what fails is tried again less and less often.
func TestFails(t *testing.T) {
	dir := filepath.Join(testenv.Dir(t), "folder")
	path := dir + "/dbg.log"
	synctest.Test(t, func(t *testing.T) {
		l := start(t, transcript.Config{Path: path})
		l.say(relay.A, "one\n")
		synctest.Wait()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		l.say(relay.A, "two\n")
		<-time.After(time.Second) // a reader that was just told something rests
		if got := read(t, path); got != "a> two\n" {
			t.Errorf("%q", got)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		testenv.WriteFile(t, dir, "in the way")
		l.say(relay.A, "three\n")
		<-time.After(5 * time.Minute)
		l.mu.Lock()
		reports := l.reports
		l.mu.Unlock()
		if n := len(reports); n < 12 || n > 25 {
			t.Errorf("%d attempts in 5 minutes", n)
		}
		for i, err := range reports {
			var stopped *transcript.StoppedError
			if !errors.As(err, &stopped) || !errors.Is(err, unix.ENOTDIR) || stopped.Retry > 30*time.Second {
				t.Errorf("%d: %v", i, err)
			}
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		<-time.After(30 * time.Second)
		synctest.Wait()
		if _, err := l.report(); err != nil {
			t.Error(err)
		}
		if got := read(t, path); got != "a> three\n" {
			t.Errorf("%q", got)
		}
	})
}

// A transcript that fails when the context ends says so, and marks nothing that is not in the file.
func TestFailsInTheEnd(t *testing.T) {
	dir := testenv.Dir(t)
	testenv.WriteFile(t, dir+"/file", "")
	l := start(t, transcript.Config{Path: dir + "/file/dbg.log"})
	l.say(relay.A, "one\n")
	l.stopped("not a directory")
	l.cancel(nil)
	if err := <-l.ended; !errors.Is(err, unix.ENOTDIR) {
		t.Error(err)
	}
	l.ended <- nil
	if mark := l.mark(); mark != (watch.Position{}) {
		t.Error(mark)
	}
}

// A transcript that could never be opened has lost nothing if nobody has said anything that it was to write.
func TestLosesNothing(t *testing.T) {
	dir := testenv.Dir(t)
	testenv.WriteFile(t, dir+"/file", "")
	for name, test := range map[string]struct {
		sides []relay.Side
		says  string
		loses bool
	}{
		"silence":        {nil, "", false},
		"the other side": {[]relay.Side{relay.B}, "hello\n", false},
		"half a line":    {nil, "hello", true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, endsBy := range []string{"context", "tape"} {
				l := start(t, transcript.Config{Path: dir + "/file/dbg.log", Sides: test.sides})
				l.stopped("not a directory")
				l.say(relay.A, test.says)
				if endsBy == "tape" {
					l.tape.Close()
				}
				l.cancel(nil)
				if err := <-l.ended; (err != nil) != test.loses {
					t.Errorf("%s: %v", endsBy, err)
				}
				if l.ended <- nil; endsBy == "tape" {
					l.tape = nil
				}
			}
		})
	}
}

// Reopen has a transcript that fails try again at once.
func TestReopenRetries(t *testing.T) {
	dir := testenv.Dir(t)
	synctest.Test(t, func(t *testing.T) {
		testenv.WriteFile(t, dir+"/folder", "in the way")
		l := start(t, transcript.Config{Path: dir + "/folder/dbg.log"})
		l.say(relay.A, "hello\n")
		<-time.After(5 * time.Minute)
		synctest.Wait()
		count := func() int {
			l.mu.Lock()
			defer l.mu.Unlock()
			return len(l.reports)
		}
		before := count()
		l.Reopen()
		synctest.Wait()
		if n := count(); n != before+1 {
			t.Errorf("%d attempts at once", n-before)
		}
		if err := os.Remove(dir + "/folder"); err != nil {
			t.Fatal(err)
		}
		l.Reopen()
		synctest.Wait()
		if _, err := l.report(); err != nil {
			t.Error(err)
		}
		if got := read(t, dir+"/folder/dbg.log"); got != "a> hello\n" {
			t.Errorf("%q", got)
		}
	})
}

// What was overwritten on the tape while nothing could be written is told of in the file.
func TestMissed(t *testing.T) {
	dir := testenv.Dir(t)
	testenv.WriteFile(t, dir+"/folder", "in the way")
	l := start(t, transcript.Config{Path: dir + "/folder/dbg.log"})
	l.stopped("not a directory")
	const lines = 200_000
	line := bytes.Repeat([]byte("x"), 15)
	for range lines {
		l.say(relay.A, string(line)+"\n")
	}
	if err := os.Remove(dir + "/folder"); err != nil {
		t.Fatal(err)
	}
	l.works()
	l.end()
	missed, whole := 0, 0
	text := read(t, dir+"/folder/dbg.log")
	for said := range strings.Lines(text) {
		if n, _ := fmt.Sscanf(said, "a! %d bytes from a missed", &whole); n == 1 {
			missed += whole
			continue
		}
		said = strings.TrimSpace(said)
		missed += len(said) - len("a> ") + 1
		if strings.HasSuffix(said, `\`) {
			missed -= 2
		}
	}
	if missed != lines*16 || len(text) > 2<<20 || !strings.Contains(text, "missed") {
		t.Errorf("%d of %d bytes; %d written", missed, lines*16, len(text))
	}
}
