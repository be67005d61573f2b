package endpoint_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"serialhub/internal/address"
	"serialhub/internal/endpoint"
	"serialhub/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func socket(t *testing.T, text string) endpoint.Spec {
	t.Helper()
	addr, err := address.Parse(text, "/")
	if err != nil {
		t.Fatal(err)
	}
	return endpoint.Spec{Address: addr, Mode: 0o600}
}

// listen opens an address and closes it with the test.
func listen(t *testing.T, text string) endpoint.Listener {
	t.Helper()
	l, err := new(endpoint.Opener).Bind(socket(t, text))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if err := l.Listen(); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestListenAndAccept(t *testing.T) {
	for _, text := range []string{filepath.Join(testenv.Dir(t), "s"), fmt.Sprintf("unix:@serialhub-test-%d", os.Getpid())} {
		t.Run(text, func(t *testing.T) {
			l := listen(t, text)
			if _, err := l.Accept(); !errors.Is(err, endpoint.ErrNoPeer) {
				t.Fatalf("Accept gave %v before anybody came", err)
			}
			conn, err := net.Dial("unix", strings.TrimPrefix(text, "unix:"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			peer, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(peer.FD)
			if want := (endpoint.Credentials{PID: os.Getpid(), UID: os.Getuid(), GID: os.Getgid()}); peer.Credentials != want {
				t.Errorf("the peer is %+v, want %+v", peer.Credentials, want)
			}
			if flags, err := unix.FcntlInt(uintptr(peer.FD), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
				t.Errorf("the peer's descriptor blocks (flags %x, %v)", flags, err)
			}
			if flags, err := unix.FcntlInt(uintptr(peer.FD), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("the peer's descriptor is inherited (flags %x, %v)", flags, err)
			}
		})
	}
}

func TestSocketFileIsPrivateAndRemoved(t *testing.T) {
	path := filepath.Join(testenv.Dir(t), "s")
	old := syscall.Umask(0)
	l := listen(t, path)
	syscall.Umask(old)
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("the file is %v, %v; want a socket with mode 0600", info.Mode(), err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
}

func TestCloseLeavesTheFileOfAnother(t *testing.T) {
	path := filepath.Join(testenv.Dir(t), "s")
	l := listen(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	listen(t, path)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the other's file is gone: %v", err)
	}
}

// stale leaves a socket's file behind, as a killed process does.
func stale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestStaleSocketIsTakenOver(t *testing.T) {
	path := filepath.Join(testenv.Dir(t), "s")
	stale(t, path)
	listen(t, path)
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// TestLiveSocketIsRefused checks that its owner is named, and does not notice.
func TestLiveSocketIsRefused(t *testing.T) {
	for _, kind := range []string{"unix", "unixgram", "unixpacket"} {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(testenv.Dir(t), "s")
			fd := occupy(t, kind, path)
			l, err := new(endpoint.Opener).Bind(socket(t, path))
			if err == nil {
				l.Close()
				t.Fatal("a live socket was taken over")
			}
			if kind != "unixgram" && !strings.Contains(err.Error(), fmt.Sprintf("in use by pid %d (endpoint.test)", os.Getpid())) {
				t.Errorf("Listen says %q, which does not name this process", err)
			}
			poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			if n, err := unix.Poll(poll, 0); n != 0 || err != nil {
				t.Errorf("the owner was disturbed: %+v, %v", poll, err)
			}
		})
	}
}

// occupy binds a socket of a kind, and listens on it if it can.
func occupy(t *testing.T, kind, path string) int {
	t.Helper()
	types := map[string]int{"unix": unix.SOCK_STREAM, "unixgram": unix.SOCK_DGRAM, "unixpacket": unix.SOCK_SEQPACKET}
	fd, err := unix.Socket(unix.AF_UNIX, types[kind]|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if kind != "unixgram" {
		if err := unix.Listen(fd, 8); err != nil {
			t.Fatal(err)
		}
	}
	return fd
}

func TestListenRefuses(t *testing.T) {
	dir := testenv.Dir(t)
	make := func(name string, build func(path string) error) string {
		path := filepath.Join(dir, name)
		if err := build(path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := make("file", func(p string) error { return os.WriteFile(p, []byte("precious"), 0o600) })
	folder := make("folder", func(p string) error { return os.Mkdir(p, 0o700) })
	link := make("link", func(p string) error { return os.Symlink(file, p) })
	fifo := make("fifo", func(p string) error { return unix.Mkfifo(p, 0o600) })
	tests := []struct{ name, path, says string }{
		{"a file", file, "is a file, not a socket, and is left alone"},
		{"a folder", folder, "is a folder, not a socket"},
		{"a symbolic link", link, "is a symbolic link, not a socket"},
		{"a fifo", fifo, "is a special file, not a socket"},
		{"no folder", filepath.Join(dir, "none", "s"), "mkdir -p " + filepath.Join(dir, "none")},
		{"a file for a folder", filepath.Join(file, "s"), "not a directory"},
	}
	testenv.NoDescriptorsLeft(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l, err := new(endpoint.Opener).Bind(socket(t, test.path))
			if err == nil {
				l.Close()
				t.Fatal("Listen took it")
			}
			if !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), test.path[:len(dir)]) {
				t.Errorf("Listen says %q, which does not contain %q", err, test.says)
			}
		})
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "precious" {
		t.Errorf("the file now holds %q, %v", content, err)
	}
}

func TestFileBelongsToWhomItShall(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give a file away")
	}
	dir := testenv.Dir(t)
	tests := []struct {
		name         string
		mode         uint32
		owner, group string
		uid, gid     uint32
	}{
		{"mode", 0o660, "", "", 0, uint32(os.Getgid())},
		{"wide open", 0o777, "", "", 0, uint32(os.Getgid())},
		{"closed", 0, "", "", 0, uint32(os.Getgid())},
		{"numbers", 0o600, "4711", "4712", 4711, 4712},
		{"names", 0o640, "daemon", "root", 1, 0},
		{"the group alone", 0o660, "", "daemon", 0, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := socket(t, filepath.Join(dir, test.name))
			s.Mode, s.Owner, s.Group = test.mode, test.owner, test.group
			l, err := new(endpoint.Opener).Bind(s)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			var stat unix.Stat_t
			if err := unix.Lstat(s.Address.Path(), &stat); err != nil {
				t.Fatal(err)
			}
			if stat.Mode&0o7777 != test.mode || stat.Uid != test.uid || stat.Gid != test.gid {
				t.Errorf("mode %o, uid %d, gid %d; want %o, %d, %d", stat.Mode&0o7777, stat.Uid, stat.Gid, test.mode, test.uid, test.gid)
			}
		})
	}
}

func TestUnknownOwner(t *testing.T) {
	path := filepath.Join(testenv.Dir(t), "s")
	for _, s := range []endpoint.Spec{{Owner: "nobody-of-this-name"}, {Group: "nobody-of-this-name"}} {
		s.Address = socket(t, path).Address
		_, err := new(endpoint.Opener).Bind(s)
		if err == nil || !strings.Contains(err.Error(), "there is none of that name; make it") {
			t.Errorf("Listen gave %v", err)
		}
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("the file was made: %v", err)
		}
	}
}

// TestFileIsNeverWiderOpen makes a socket over and over while another goroutine looks at its file: whatever it sees
// before the socket is ready may be narrower than what is configured, and not wider.
func TestFileIsNeverWiderOpen(t *testing.T) {
	path := filepath.Join(testenv.Dir(t), "s")
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	const mode = 0o640
	stop, looked := make(chan struct{}), make(chan int)
	go func() {
		seen := 0
		defer func() { looked <- seen }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			var stat unix.Stat_t
			if unix.Lstat(path, &stat) == nil {
				seen++
				if wide := stat.Mode & 0o777 &^ mode; wide != 0 {
					t.Errorf("the file had mode %o", stat.Mode&0o777)
				}
			}
		}
	}()
	s := socket(t, path)
	s.Mode = mode
	for range 2000 {
		l, err := new(endpoint.Opener).Bind(s)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
	close(stop)
	if seen := <-looked; seen == 0 {
		t.Error("nobody looked at the file")
	}
}

// TestKeeper lets files disappear in every way, and leaves others alone.
func TestKeeper(t *testing.T) {
	tests := []struct {
		name  string
		harm  func(t *testing.T, path string)
		loses bool
	}{
		{"nothing", func(*testing.T, string) {}, false},
		{"another file comes", func(t *testing.T, path string) { os.WriteFile(path+"x", nil, 0o600) }, false},
		{"deleted", func(t *testing.T, path string) { os.Remove(path) }, true},
		{"renamed", func(t *testing.T, path string) { os.Rename(path, path+"x") }, true},
		{"replaced by a file", func(t *testing.T, path string) { os.WriteFile(path+"x", nil, 0o600); os.Rename(path+"x", path) }, true},
		{"replaced by another's socket", func(t *testing.T, path string) { os.Remove(path); listen(t, path) }, true},
		{"its folder deleted", func(t *testing.T, path string) { os.RemoveAll(filepath.Dir(path)) }, true},
		{"its folder replaced", func(t *testing.T, path string) { os.Rename(filepath.Dir(path), filepath.Dir(path)+"x") }, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(testenv.Dir(t), "sub")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			harmed, beside := listen(t, filepath.Join(dir, "s")), listen(t, filepath.Join(dir, "beside"))
			keeper := endpoint.NewKeeper(10 * time.Millisecond)
			lost := make(chan string, 10)
			forget := keeper.Watch(harmed, func() { lost <- "harmed" })
			defer forget()
			if strings.Contains(test.name, "folder") {
				beside.Close()
			} else {
				defer keeper.Watch(beside, func() { lost <- "beside" })()
			}
			stop, ended := make(chan struct{}), make(chan struct{})
			go func() { defer close(ended); keeper.Run(stop) }()
			defer func() { close(stop); <-ended }()
			test.harm(t, filepath.Join(dir, "s"))
			wait := 20 * time.Second
			if !test.loses {
				wait = 100 * time.Millisecond
			}
			select {
			case name := <-lost:
				if !test.loses || name != "harmed" {
					t.Errorf("%s was reported", name)
				}
			case <-time.After(wait):
				if test.loses {
					t.Error("the loss was not noticed")
				}
			}
			select {
			case name := <-lost:
				t.Errorf("%s was reported, too", name)
			case <-time.After(50 * time.Millisecond):
			}
		})
	}
}

func TestForgottenFilesAreNotReported(t *testing.T) {
	l := listen(t, filepath.Join(testenv.Dir(t), "s"))
	keeper := endpoint.NewKeeper(time.Millisecond)
	forget := keeper.Watch(l, func() { t.Error("a file that nobody watches was reported") })
	forget()
	forget()
	l.Close()
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() { defer close(ended); keeper.Run(stop) }()
	<-time.After(30 * time.Millisecond)
	close(stop)
	<-ended
}
