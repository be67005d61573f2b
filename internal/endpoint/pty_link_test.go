package endpoint_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/endpoint"
	"serialhub/internal/testenv"
)

// foreignTerminal is a pseudo-terminal of this process that no hub knows of.
func foreignTerminal(t *testing.T) string {
	t.Helper()
	_, slave := testenv.NewTerminal(t)
	return slave
}

// backdate makes a link seem older than it is.
func backdate(t *testing.T, path string) {
	t.Helper()
	old := unix.NsecToTimespec(time.Now().Add(-time.Hour).UnixNano())
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{old, old}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// TestTerminalLink puts everything in the way of a terminal's link.
func TestTerminalLink(t *testing.T) {
	tests := []struct {
		name string
		put  func(t *testing.T, path string)
		says string // "" if the link takes its place
	}{
		{"nothing", func(*testing.T, string) {}, ""},
		{"a link to a terminal that is gone", func(t *testing.T, path string) { symlink(t, "/dev/pts/99999999", path) }, ""},
		{"a link to a number that was used again", func(t *testing.T, path string) { symlink(t, foreignTerminal(t), path); backdate(t, path) }, ""},
		{
			"a link to somebody's terminal", func(t *testing.T, path string) { symlink(t, foreignTerminal(t), path) },
			fmt.Sprintf("is in use by pid %d (endpoint.test); end that program", os.Getpid()),
		},
		{"a file", func(t *testing.T, path string) { os.WriteFile(path, nil, 0o600) }, "is a file, not a link to a terminal, and is left alone"},
		{"a folder", func(t *testing.T, path string) { os.Mkdir(path, 0o700) }, "is a folder, not a link"},
		{"a fifo", func(t *testing.T, path string) { unix.Mkfifo(path, 0o600) }, "is a special file, not a link"},
		{"a link to a file", func(t *testing.T, path string) { symlink(t, "/etc/passwd", path) }, "is a symbolic link to /etc/passwd, not to a terminal"},
		{"a link to nothing", func(t *testing.T, path string) { symlink(t, "/nonexistent", path) }, "is a symbolic link to /nonexistent, not to a terminal"},
		{"a link to ptmx", func(t *testing.T, path string) { symlink(t, "/dev/pts/ptmx", path) }, "not to a terminal"},
		{"no folder", func(t *testing.T, path string) { os.Remove(filepath.Dir(path)) }, "mkdir -p "},
		{
			"a file for a folder", func(t *testing.T, path string) {
				os.Remove(filepath.Dir(path))
				os.WriteFile(filepath.Dir(path), nil, 0o600)
			}, "is not a folder",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(testenv.Dir(t), "sub")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "dbg.tty")
			test.put(t, path)
			before := lookAt(path)
			testenv.NoDescriptorsLeft(t)
			o := hubTerminals(t)
			l, err := o.Bind(terminal(t, path))
			if err == nil {
				defer l.Close()
				if now := lookAt(path); now != before {
					t.Errorf("before Listen it has become %s, and was %s", now, before)
				}
				err = l.Listen()
			}
			if test.says != "" {
				if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), dir) {
					t.Errorf("it says %v, which does not contain %q", err, test.says)
				}
				if now := lookAt(path); now != before {
					t.Errorf("it has become %s, and was %s", now, before)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if now := lookAt(path); now == before || !strings.Contains(now, " /dev/pts/") {
				t.Errorf("it is %s", now)
			}
			if err := l.Listen(); err != nil {
				t.Errorf("Listen cannot be called again: %v", err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 1 {
				t.Errorf("the folder holds %v, %v", entries, err)
			}
		})
	}
}

// lookAt says what is at path, so that two looks can be compared.
func lookAt(path string) string {
	info, err := os.Lstat(path)
	if err != nil {
		return "nothing"
	}
	target, _ := os.Readlink(path)
	return fmt.Sprintf("%s of %s %s", info.Mode(), info.ModTime(), target)
}

// TestTerminalOfAnotherHub opens the same path twice: the first one has it, also after Adjust, which changes the times of the terminal.
func TestTerminalOfAnotherHub(t *testing.T) {
	o := hubTerminals(t)
	path := filepath.Join(testenv.Dir(t), "dbg.tty")
	first := openTerminal(t, o, path)
	slave, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	backdate(t, path)
	s := terminal(t, path)
	s.Mode = 0o620
	if err := first.Adjust(s); err != nil {
		t.Fatal(err)
	}
	_, err = o.Bind(terminal(t, path))
	if want := fmt.Sprintf("%s leads to %s, which is in use by pid %d (endpoint.test)", path, slave, os.Getpid()); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("the second one gave %v, want %s", err, want)
	}
}

func TestTerminalOfSocatIsLeftAlone(t *testing.T) {
	socat := testenv.Program(t, "socat")
	path := filepath.Join(testenv.Dir(t), "dbg.tty")
	cmd := exec.Command(socat, "PTY,raw,mode=666,link="+path, "SYSTEM:cat")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Signal(unix.SIGTERM)
	for deadline := time.Now().Add(patience); lookAt(path) == "nothing"; {
		if time.Now().After(deadline) {
			t.Fatal("socat makes no link")
		}
	}
	_, err := hubTerminals(t).Bind(terminal(t, path))
	if want := fmt.Sprintf("is in use by pid %d (socat)", cmd.Process.Pid); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("it gave %v, want %s", err, want)
	}
}

// TestTerminalLinkIsMadeAgain loses the link while somebody is at the terminal.
func TestTerminalLinkIsMadeAgain(t *testing.T) {
	l, path := newTerminal(t)
	f := user(t, path)
	p := admitted(t, l)
	keeper := endpoint.NewKeeper(10 * time.Millisecond)
	lost := make(chan struct{}, 1)
	defer keeper.Watch(l, func() { lost <- struct{}{} })()
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() { defer close(ended); keeper.Run(stop) }()
	defer func() { close(stop); <-ended }()
	was, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(path)
	select {
	case <-lost:
	case <-time.After(patience):
		t.Fatal("the loss was not noticed")
	}
	looking := make(chan struct{})
	go func() { // the loop does not stop meanwhile
		defer close(looking)
		for range 1000 {
			l.Waiting()
			l.Kept()
		}
	}()
	if err := l.Listen(); err != nil {
		t.Fatal(err)
	}
	<-looking
	if now, err := os.Readlink(path); err != nil || now != was {
		t.Errorf("the link leads to %s, %v, and led to %s", now, err, was)
	}
	fmt.Fprint(f, "still here")
	f.Close()
	if got := said(t, p); string(got) != "still here" {
		t.Errorf("the hub got %q", got)
	}
	hangUp(p)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if got := lookAt(path); got != "nothing" {
		t.Errorf("there is %s left", got)
	}
}

func TestTerminalClosesAndLeavesTheLinkOfAnother(t *testing.T) {
	l, path := newTerminal(t)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	symlink(t, "/dev/null", path)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the other's link is gone: %v", err)
	}
}

// TestTerminalOfAKilledHub opens a path that a hub left behind that was killed.
func TestTerminalOfAKilledHub(t *testing.T) {
	path := filepath.Join(testenv.Dir(t), "dbg.tty")
	o := hubTerminals(t)
	l := openTerminal(t, o, path)
	target, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	symlink(t, target, path)
	openTerminal(t, o, path)
}

// TestTerminalLinkIsReplaced puts something else where the link was, at once: many file systems give it the number that the link had.
func TestTerminalLinkIsReplaced(t *testing.T) {
	tests := []struct {
		name string
		put  func(path string) error
		says string
	}{
		{"by a file", func(path string) error { return os.WriteFile(path, []byte("mine"), 0o600) }, "is a file, not a link to a terminal, and is left alone"},
		{"by a link", func(path string) error { return os.Symlink("/etc/passwd", path) }, "is a symbolic link to /etc/passwd, not to a terminal"},
		{"by a fifo", func(path string) error { return unix.Mkfifo(path, 0o600) }, "is a special file, not a link"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l, path := newTerminal(t)
			keeper := endpoint.NewKeeper(10 * time.Millisecond)
			lost := make(chan struct{}, 1)
			defer keeper.Watch(l, func() { lost <- struct{}{} })()
			stop, ended := make(chan struct{}), make(chan struct{})
			go func() { defer close(ended); keeper.Run(stop) }()
			defer func() { close(stop); <-ended }()
			// The birth of a file is kept as coarsely as the kernel's clock ticks.
			for deadline := time.Now().Add(50 * time.Millisecond); time.Now().Before(deadline); {
				lookAt(path)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := test.put(path); err != nil {
				t.Fatal(err)
			}
			before := lookAt(path)
			select {
			case <-lost:
			case <-time.After(patience):
				t.Fatal("the loss was not noticed")
			}
			if err := l.Listen(); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("Listen says %v, which does not contain %q", err, test.says)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			if now := lookAt(path); now != before {
				t.Errorf("it has become %s, and was %s", now, before)
			}
		})
	}
}

// started is not long after this process was.
var started = time.Now()

// setTimes sets when a file, or a link, was read and changed.
func setTimes(t *testing.T, path string, read, changed time.Time) {
	t.Helper()
	times := []unix.Timespec{unix.NsecToTimespec(read.UnixNano()), unix.NsecToTimespec(changed.UnixNano())}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		t.Fatal(err)
	}
}

// TestTerminalLinkOfWhom has links to a terminal of this process, whose number may or may not have been another's when the link was made.
func TestTerminalLinkOfWhom(t *testing.T) {
	tests := []struct {
		name  string
		set   func(t *testing.T, slave, path string)
		inUse bool
	}{
		{"used and chmod'ed since", func(t *testing.T, slave, path string) {
			setTimes(t, path, started, started)
			later := started.Add(time.Hour)
			for time.Since(started) < 2500*time.Millisecond {
				setTimes(t, slave, later, later)
			}
			setTimes(t, slave, later, later) // this is a change as well
		}, true},
		{"handed on by a process that has ended", func(t *testing.T, slave, path string) {
			old := started.Add(-time.Hour)
			setTimes(t, path, old, old)
			setTimes(t, slave, old, old)
		}, true},
		{"of a program that was killed a moment before", func(t *testing.T, slave, path string) {
			old := started.Add(-1700 * time.Millisecond)
			setTimes(t, path, old, old)
			setTimes(t, slave, started, started)
		}, false},
		{"of a program that was killed long before", func(t *testing.T, _, path string) { backdate(t, path) }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path, slave := filepath.Join(testenv.Dir(t), "dbg.tty"), foreignTerminal(t)
			symlink(t, slave, path)
			test.set(t, slave, path)
			l, err := hubTerminals(t).Bind(terminal(t, path))
			if err == nil {
				defer l.Close()
				err = l.Listen()
			}
			want := fmt.Sprintf("%s leads to %s, which is in use by pid %d (endpoint.test)", path, slave, os.Getpid())
			switch {
			case test.inUse && (err == nil || !strings.HasPrefix(err.Error(), want)):
				t.Errorf("it gave %v, want %s", err, want)
			case !test.inUse && err != nil:
				t.Error(err)
			}
		})
	}
}

// TestTerminalOfAnAdoptedTerminal opens the path of a terminal that was made by an earlier process than the one that has it.
func TestTerminalOfAnAdoptedTerminal(t *testing.T) {
	o := hubTerminals(t)
	path := filepath.Join(testenv.Dir(t), "dbg.tty")
	old := openTerminal(t, o, path)
	backdate(t, path)
	fd, trace := old.Kept()
	fd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	l, err := o.Adopt(fd, terminal(t, path), trace)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := o.Bind(terminal(t, path)); err == nil || !strings.Contains(err.Error(), "is in use by pid") {
		t.Errorf("another one gave %v", err)
	}
}

// TestTerminalLinkOnTheLoop has a link come when the terminal is there already: the first Listen does not look for whose it is.
func TestTerminalLinkOnTheLoop(t *testing.T) {
	path := filepath.Join(testenv.Dir(t), "dbg.tty")
	l, err := hubTerminals(t).Bind(terminal(t, path))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	symlink(t, foreignTerminal(t), path)
	for _, owner := range []string{"another program", fmt.Sprintf("pid %d (endpoint.test)", os.Getpid())} {
		if err := l.Listen(); err == nil || !strings.Contains(err.Error(), "which is in use by "+owner+"; end that program") {
			t.Errorf("Listen says %v, which does not name %s", err, owner)
		}
	}
	backdate(t, path)
	if err := l.Listen(); err != nil {
		t.Error(err)
	}
}

// TestTerminalLinkReplaces replaces a link that is left over where there is little room for another name.
func TestTerminalLinkReplaces(t *testing.T) {
	tests := []struct {
		name string
		put  func(t *testing.T, dir string) (path string)
	}{
		{"whose name is as long as it may be", func(_ *testing.T, dir string) string { return filepath.Join(dir, strings.Repeat("x", 255)) }},
		{"beside what killed hubs have left", func(t *testing.T, dir string) string {
			path := filepath.Join(dir, "dbg.tty")
			for n := range 200 {
				symlink(t, "/dev/pts/99999999", fmt.Sprintf("%s.%d-%d", path, os.Getpid(), n))
			}
			return path
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := test.put(t, testenv.Dir(t))
			symlink(t, "/dev/pts/99999999", path)
			openTerminal(t, hubTerminals(t), path)
			user(t, path)
		})
	}
}

// TestTerminalErrorsAreTheSame tries in vain twice, with another number each time.
func TestTerminalErrorsAreTheSame(t *testing.T) {
	o := hubTerminals(t)
	path := filepath.Join(testenv.Dir(t), "missing", "dbg.tty")
	var says [2]string
	for i := range says {
		l, err := o.Bind(terminal(t, path))
		if err == nil {
			err = l.Listen()
			l.Close()
		}
		if err == nil {
			t.Fatal("it is opened")
		}
		says[i] = err.Error()
		foreignTerminal(t)
	}
	if says[0] != says[1] || strings.Contains(says[0], "/dev/pts/") {
		t.Errorf("it says %q, and then %q", says[0], says[1])
	}
}
