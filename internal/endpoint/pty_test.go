package endpoint_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/address"
	"serialhub/internal/endpoint"
	"serialhub/internal/testenv"
)

// patience is how long a test waits for what should happen on a busy machine.
const patience = 30 * time.Second

// hubTerminals makes an Opener whose notices run as long as the test.
func hubTerminals(t *testing.T) *endpoint.Opener {
	t.Helper()
	return endpoint.NewOpener(runNotices(t))
}

func terminal(t *testing.T, path string) endpoint.Spec {
	t.Helper()
	addr, err := address.ParseFile(address.PTY, path, "/")
	if err != nil {
		t.Fatal(err)
	}
	return endpoint.Spec{Address: addr, Mode: 0o600}
}

// openTerminal opens a pseudo-terminal at path, and closes it with the test.
func openTerminal(t *testing.T, o *endpoint.Opener, path string) endpoint.Listener {
	t.Helper()
	l, err := o.Bind(terminal(t, path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if err := l.Listen(); err != nil {
		t.Fatal(err)
	}
	return l
}

// newTerminal opens a pseudo-terminal in a folder of its own.
func newTerminal(t *testing.T) (l endpoint.Listener, path string) {
	t.Helper()
	path = filepath.Join(testenv.Dir(t), "dbg.tty")
	return openTerminal(t, hubTerminals(t), path), path
}

// ready waits until one of some events, or a departure, is there.
func ready(t *testing.T, fd int, events int16) int16 {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
		n, err := unix.Poll(fds, 1000)
		if err != nil && !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
		if n > 0 {
			return fds[0].Revents
		}
		if time.Now().After(deadline) {
			t.Fatalf("descriptor %d is not ready for %x", fd, events)
		}
	}
}

// admitted waits for a peer as the relay does: for the listener's descriptor, and then for Accept.
func admitted(t *testing.T, l endpoint.Listener) endpoint.Peer {
	t.Helper()
	for {
		ready(t, l.FD(), unix.POLLIN)
		p, err := l.Accept()
		if err == nil {
			return p
		}
		if !errors.Is(err, endpoint.ErrNoPeer) {
			t.Fatal(err)
		}
	}
}

// said reads what a peer has said until it has left, or until somebody else is at the terminal.
func said(t *testing.T, p endpoint.Peer) []byte {
	t.Helper()
	var all []byte
	buf := make([]byte, 64<<10)
	for {
		gone := ready(t, p.FD, unix.POLLIN)&unix.POLLHUP != 0
		n, err := unix.Read(p.FD, buf)
		switch {
		case errors.Is(err, unix.EINTR):
		case err == nil:
			all = append(all, buf[:n]...)
		case errors.Is(err, unix.EIO), errors.Is(err, unix.EAGAIN) && gone:
			return all
		case !errors.Is(err, unix.EAGAIN):
			t.Fatal(err)
		}
	}
}

// sayTo writes to a peer, and waits while it is full.
func sayTo(t *testing.T, p endpoint.Peer, data []byte) {
	t.Helper()
	for len(data) > 0 {
		ready(t, p.FD, unix.POLLOUT)
		if n, err := unix.Write(p.FD, data); err == nil {
			data = data[n:]
		} else if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
	}
}

func hangUp(p endpoint.Peer) {
	p.HangUp()
	p.Close()
}

// user opens the terminal as a program does.
func user(t *testing.T, path string) *os.File {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), path)
	t.Cleanup(func() { f.Close() })
	return f
}

// readNow is what can be read without waiting.
func readNow(t *testing.T, f *os.File) string {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, 0); err != nil || n == 0 {
		return ""
	}
	buf := make([]byte, 64<<10)
	n, err := f.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

// pattern is n bytes in which each value occurs, and no two parts are the same.
func pattern(n int) []byte {
	var all []byte
	for sum := sha256.Sum256(nil); len(all) < n; sum = sha256.Sum256(sum[:]) {
		all = append(all, sum[:]...)
	}
	return all[:n]
}

func TestTerminalComesAndGoes(t *testing.T) {
	l, path := newTerminal(t)
	if l.Waiting() {
		t.Error("somebody waits before anybody came")
	}
	if _, err := l.Accept(); !errors.Is(err, endpoint.ErrNoPeer) {
		t.Errorf("Accept gave %v before anybody came", err)
	}
	for range 3 {
		f := user(t, path)
		p := admitted(t, l)
		slave, err := os.Readlink(path)
		if err != nil {
			t.Fatal(err)
		}
		if want := (endpoint.Peer{FD: p.FD, Nature: endpoint.Terminal, Via: path, Credentials: endpoint.Credentials{Address: slave}}); p != want {
			t.Errorf("the peer is %+v, want %+v", p, want)
		}
		if flags, err := unix.FcntlInt(uintptr(p.FD), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("the peer's descriptor blocks (flags %x, %v)", flags, err)
		}
		if flags, err := unix.FcntlInt(uintptr(p.FD), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("the peer's descriptor is inherited (flags %x, %v)", flags, err)
		}
		if p.Gone() {
			t.Error("the peer has gone already")
		}
		fmt.Fprint(f, "\x00\x03\x04\r\n\x11\x13\x7f\xff~")
		sayTo(t, p, []byte("\x00\x03\x04\r\n\x11\x13\x7f\xff!"))
		got := make([]byte, 10)
		if _, err := io.ReadFull(f, got); err != nil || string(got) != "\x00\x03\x04\r\n\x11\x13\x7f\xff!" {
			t.Errorf("the terminal got %q, %v", got, err)
		}
		f.Close()
		if got := said(t, p); string(got) != "\x00\x03\x04\r\n\x11\x13\x7f\xff~" {
			t.Errorf("the hub got %q", got)
		}
		if !p.Gone() || p.Err() != nil {
			t.Errorf("gone: %v, because of %v", p.Gone(), p.Err())
		}
		hangUp(p)
	}
}

// TestTerminalSaysWhatItHasSaid compares what a program wrote before it left with what arrives, and what is counted.
func TestTerminalSaysWhatItHasSaid(t *testing.T) {
	l, path := newTerminal(t)
	for _, n := range []int{1, 4095, 4096, 10000, 100_000} {
		f := user(t, path)
		p := admitted(t, l)
		want := pattern(n)
		wrote := make(chan struct{})
		go func() { // it waits if there is no room
			defer close(wrote)
			f.Write(want)
			f.Close()
		}()
		if n <= 4096 {
			<-wrote
			if got := p.Unread(); got < 1 || got > n { // the kernel moves them on by and by, and counts those
				t.Errorf("%d of %d bytes are counted", got, n)
			}
		}
		if got := said(t, p); !bytes.Equal(got, want) {
			t.Errorf("%d bytes arrived of %d, or others", len(got), n)
		}
		if got := p.Unread(); got != 0 {
			t.Errorf("%d bytes are left", got)
		}
		<-wrote
		hangUp(p)
	}
}

// TestTerminalQuickWriters has programs come, write and leave at once, mostly before the hub looks.
func TestTerminalQuickWriters(t *testing.T) {
	l, path := newTerminal(t)
	const times = 200
	ended := make(chan error, 1)
	go func() {
		ended <- exec.Command("sh", "-c", fmt.Sprintf(`for i in $(seq %d); do (echo $i > "$0") || exit; done`, times), path).Run()
	}()
	var want, got strings.Builder
	for i := range times {
		fmt.Fprintln(&want, i+1)
	}
	for got.Len() < want.Len() {
		p := admitted(t, l)
		got.Write(said(t, p))
		hangUp(p)
	}
	if got.String() != want.String() {
		t.Errorf("the hub got %q", got.String())
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestTerminalWithoutWriters has programs come and leave without a word: each is either seen, or has left before; nobody is seen twice, or for ever.
func TestTerminalWithoutWriters(t *testing.T) {
	l, path := newTerminal(t)
	for range 100 {
		user(t, path).Close()
	}
	f := user(t, path)
	p := admitted(t, l)
	f.Close()
	said(t, p)
	hangUp(p)
	quiet(t, l)
}

// quiet checks that a listener's descriptor stops being readable once it has been looked at, and that nobody is there.
func quiet(t *testing.T, l endpoint.Listener) {
	t.Helper()
	looked := 0
	for deadline := time.Now().Add(100 * time.Millisecond); time.Now().Before(deadline); {
		fds := []unix.PollFd{{Fd: int32(l.FD()), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, 10); err != nil || n == 0 {
			continue
		}
		looked++
		if p, err := l.Accept(); !errors.Is(err, endpoint.ErrNoPeer) {
			p.Close()
			t.Fatalf("Accept gave %+v, %v though nobody is there", p, err)
		}
	}
	if looked > 10 {
		t.Errorf("there was something to be looked at %d times", looked)
	}
}

// TestTerminalIsTakenOver opens the terminal for the next program before the last has left, and right after it.
func TestTerminalIsTakenOver(t *testing.T) {
	l, path := newTerminal(t)
	first := user(t, path)
	p := admitted(t, l)
	second := user(t, path)
	first.Close()
	if p.Gone() {
		t.Error("the peer has gone, though another has the terminal open")
	}
	second.Close()
	third := user(t, path)
	fmt.Fprint(third, "third")
	if p.Gone() {
		t.Error("the peer has gone, though a third has the terminal open")
	}
	third.Close()
	if got := said(t, p); string(got) != "third" {
		t.Errorf("the hub got %q", got)
	}
	// The fourth comes after the departure has been seen, and before the hub has hung up.
	fourth := user(t, path)
	sayTo(t, p, []byte("for the third"))
	hangUp(p)
	q := admitted(t, l)
	if got := readNow(t, fourth); got != "" {
		t.Errorf("it found %q, which was said to one before it", got)
	}
	fmt.Fprint(fourth, "fourth")
	fourth.Close()
	if got := said(t, q); string(got) != "fourth" {
		t.Errorf("the hub got %q", got)
	}
	hangUp(q)
	quiet(t, l)
}

// TestTerminalStaysOverReset hangs up a program that stays: it is a new peer then, which finds nothing of what was said before, and its own settings.
func TestTerminalStaysOverReset(t *testing.T) {
	l, path := newTerminal(t)
	f := user(t, path)
	p := admitted(t, l)
	stty(t, path, "sane", "-echo")
	sayTo(t, p, []byte("old\n"))
	hangUp(p)
	p = admitted(t, l)
	defer hangUp(p)
	if got := stty(t, path, "-a"); !strings.Contains(got, " icanon") {
		t.Errorf("its settings have changed: %s", got)
	}
	sayTo(t, p, []byte("new\n"))
	ready(t, int(f.Fd()), unix.POLLIN)
	if got := readNow(t, f); got != "new\n" {
		t.Errorf("it got %q", got)
	}
}

// TestTerminalForgets has a program leave without having read what was said to it, little and as much as there is room for.
func TestTerminalForgets(t *testing.T) {
	l, path := newTerminal(t)
	for _, n := range []int{1, 4095, 4096, 1 << 20} {
		f := user(t, path)
		p := admitted(t, l)
		wrote, err := unix.Write(p.FD, pattern(n))
		if err != nil || wrote < min(n, 8192) {
			t.Fatalf("%d of %d bytes could be said, %v", wrote, n, err)
		}
		if got := p.Untaken(); got < 1 || got > wrote {
			t.Errorf("%d bytes of %d are untaken", got, wrote)
		}
		f.Close()
		said(t, p)
		hangUp(p)
		f = user(t, path)
		p = admitted(t, l)
		if got := p.Untaken(); got != 0 {
			t.Errorf("%d of %d bytes are there still", got, wrote)
		}
		if got := readNow(t, f); got != "" {
			t.Errorf("the next one found %d bytes", len(got))
		}
		sayTo(t, p, []byte("new"))
		ready(t, int(f.Fd()), unix.POLLIN)
		if got := readNow(t, f); got != "new" {
			t.Errorf("the next one got %q", got)
		}
		f.Close()
		said(t, p)
		hangUp(p)
	}
}

// TestTerminalIsRead has a program read in large pieces, and drops what it has not read as soon as there is said to be nothing: there was nothing indeed.
func TestTerminalIsRead(t *testing.T) {
	l, path := newTerminal(t)
	f := user(t, path)
	p := admitted(t, l)
	read := make(chan error, 1)
	all := pattern(1 << 20)
	go func() {
		got := make([]byte, len(all))
		n, err := io.ReadFull(f, got)
		if !bytes.Equal(got[:n], all[:n]) {
			err = errors.New("something is missing in what was read")
		}
		read <- err
	}()
	for rest := all; len(rest) > 0; {
		n, err := unix.Write(p.FD, rest)
		if err != nil && !errors.Is(err, unix.EAGAIN) {
			t.Fatal(err)
		}
		rest = rest[max(n, 0):]
		for p.Untaken() > 0 {
			runtime.Gosched()
		}
		if err := unix.IoctlSetInt(p.FD, unix.TCFLSH, unix.TCOFLUSH); err != nil { // what is on its way
			t.Fatal(err)
		}
	}
	hangUp(p)
	if err := l.Close(); err != nil { // the program reads no longer
		t.Fatal(err)
	}
	if err := <-read; err != nil {
		t.Errorf("it was dropped: %v", err)
	}
}

// TestTerminalSplices moves 10 MB each way through a pipe, as the relay does. The reader is slow: it takes little at a time.
func TestTerminalSplices(t *testing.T) {
	l, path := newTerminal(t)
	f := user(t, path)
	p := admitted(t, l)
	defer hangUp(p)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	want := pattern(10 << 20)

	t.Run("to the program", func(t *testing.T) {
		got := make(chan [32]byte, 1)
		go func() {
			hash := sha256.New()
			io.CopyBuffer(hash, struct{ io.Reader }{io.LimitReader(f, int64(len(want)))}, make([]byte, 1000))
			got <- [32]byte(hash.Sum(nil))
		}()
		for in, out := 0, 0; out < len(want); {
			if n, err := unix.Write(pipe[1], want[in:]); err == nil {
				in += n
			}
			n, err := unix.Splice(pipe[0], nil, p.FD, nil, 1<<20, unix.SPLICE_F_NONBLOCK)
			switch {
			case err == nil:
				out += int(n)
			case errors.Is(err, unix.EAGAIN):
				ready(t, p.FD, unix.POLLOUT)
			default:
				t.Fatal(err)
			}
		}
		if <-got != sha256.Sum256(want) {
			t.Error("the program got something else")
		}
	})
	t.Run("from the program", func(t *testing.T) {
		go func() {
			f.Write(want)
			f.Close()
		}()
		var got bytes.Buffer
		buf := make([]byte, 64<<10)
		for {
			n, err := unix.Splice(p.FD, nil, pipe[1], nil, 1<<20, unix.SPLICE_F_NONBLOCK)
			if errors.Is(err, unix.EAGAIN) {
				ready(t, p.FD, unix.POLLIN)
				continue
			}
			if errors.Is(err, unix.EIO) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if took, err := unix.Read(pipe[0], buf); err != nil || took != int(n) {
				t.Fatalf("the pipe had %d bytes of %d, %v", took, n, err)
			}
			got.Write(buf[:n])
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("the hub got %d bytes of %d, or others", got.Len(), len(want))
		}
	})
}

// stty runs stty(1) at a terminal.
func stty(t *testing.T, path string, args ...string) string {
	t.Helper()
	out, err := exec.Command("stty", append([]string{"-F", path}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("stty: %v: %s", err, out)
	}
	return string(out)
}

func isRaw(settings string) bool {
	for _, off := range []string{"-icanon", "-echo ", "-isig", "-icrnl", "-ixon", "-opost"} {
		if !strings.Contains(settings, off) {
			return false
		}
	}
	return strings.Contains(settings, "cs8")
}

// TestTerminalIsRawAgain leaves the terminal cooked and locked, as a peer and without ever being one.
func TestTerminalIsRawAgain(t *testing.T) {
	l, path := newTerminal(t)
	if got := stty(t, path, "-a"); !isRaw(got) {
		t.Errorf("at first it is %s", got)
	}
	f := user(t, path)
	p := admitted(t, l)
	stty(t, path, "sane")
	if os.Getuid() == 0 { // nobody else can unlock it
		if err := unix.IoctlSetInt(int(f.Fd()), unix.TIOCEXCL, 0); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	said(t, p)
	hangUp(p)
	f = user(t, path)
	if locked, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGEXCL); err != nil || locked != 0 {
		t.Errorf("it is locked still: %d, %v", locked, err)
	}
	if got := stty(t, path, "-a"); !isRaw(got) {
		t.Errorf("after a peer it is %s", got)
	}
	p = admitted(t, l)
	f.Close()
	said(t, p)
	hangUp(p)
	quiet(t, l)
	stty(t, path, "sane") // it has left by the time the hub looks
	ready(t, l.FD(), unix.POLLIN)
	quiet(t, l)
	if got := stty(t, path, "-a"); !isRaw(got) {
		t.Errorf("after stty alone it is %s", got)
	}
}

func TestPicocom(t *testing.T) {
	picocom := testenv.Program(t, "picocom")
	l, path := newTerminal(t)
	for range 2 {
		cmd := exec.Command(picocom, "--quiet", "--baud", "115200", path)
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Process.Kill()
		p := admitted(t, l)
		if pid := endpoint.TerminalUser(p.Credentials.Address); pid != cmd.Process.Pid {
			t.Errorf("pid %d is at the terminal, want %d", pid, cmd.Process.Pid)
		}
		// It drops what comes before it is ready, so it speaks first.
		fmt.Fprint(stdin, "hello")
		got := make([]byte, 0, 5)
		for len(got) < 5 {
			ready(t, p.FD, unix.POLLIN)
			n, err := unix.Read(p.FD, got[len(got):5])
			if err != nil && !errors.Is(err, unix.EAGAIN) {
				t.Fatal(err)
			}
			got = got[:len(got)+max(n, 0)]
		}
		sayTo(t, p, []byte("echo "+string(got)))
		back := make([]byte, 10)
		if _, err := io.ReadFull(stdout, back); err != nil || string(back) != "echo hello" {
			t.Errorf("picocom got %q, %v", back, err)
		}
		fmt.Fprint(stdin, "\x01\x18") // Ctrl-A Ctrl-X
		if got := said(t, p); len(got) != 0 {
			t.Errorf("picocom said %q, too", got)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		hangUp(p)
	}
}

func TestTerminalUser(t *testing.T) {
	l, path := newTerminal(t)
	slave, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	f := user(t, path)
	p := admitted(t, l)
	defer hangUp(p)
	if pid := endpoint.TerminalUser(slave); pid != 0 {
		t.Errorf("pid %d is at it, though it is the hub itself", pid)
	}
	cmd := exec.Command("cat")
	cmd.Stdin = f
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if pid := endpoint.TerminalUser(slave); pid != cmd.Process.Pid {
		t.Errorf("pid %d is at it, want %d", pid, cmd.Process.Pid)
	}
	if pid := endpoint.TerminalUser("/dev/pts/none"); pid != 0 {
		t.Errorf("pid %d is at no terminal", pid)
	}
}

func TestTerminalBelongsToWhomItShall(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give a file away")
	}
	path := filepath.Join(testenv.Dir(t), "dbg.tty")
	s := terminal(t, path)
	s.Mode, s.Owner, s.Group = 0o660, "4711", "daemon"
	l, err := hubTerminals(t).Bind(s)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Listen(); err != nil {
		t.Fatal(err)
	}
	check := func(mode, uid, gid uint32) {
		t.Helper()
		var stat unix.Stat_t
		if err := unix.Stat(path, &stat); err != nil {
			t.Fatal(err)
		}
		if stat.Mode != unix.S_IFCHR|mode || stat.Uid != uid || stat.Gid != gid {
			t.Errorf("mode %o, uid %d, gid %d; want %o, %d, %d", stat.Mode, stat.Uid, stat.Gid, mode, uid, gid)
		}
	}
	check(0o660, 4711, 1)
	s.Mode, s.Owner, s.Group = 0o600, "", ""
	if err := l.Adjust(s); err != nil {
		t.Error(err)
	}
	check(0o600, 0, uint32(os.Getgid()))
	s.Owner = "nobody-of-this-name"
	if err := l.Adjust(s); err == nil || !strings.Contains(err.Error(), "there is none of that name") {
		t.Errorf("Adjust gave %v", err)
	}
	if _, err := hubTerminals(t).Bind(s); err == nil {
		t.Error("it was opened for nobody")
	}
}

// TestTerminalAdopted has a second process go on with a terminal, while somebody is at it and when somebody has come in the meantime.
// TestTerminalOfNobodyElse asks for an owner that only root can give: the error has the name that people know.
func TestTerminalOfNobodyElse(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	path := filepath.Join(testenv.Dir(t), "dbg.tty")
	if err := os.Chmod(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	s := terminal(t, path)
	s.Owner = "root"
	const nobody = 65534
	var err error
	ended := make(chan struct{})
	go func() { // the thread ends with it
		defer close(ended)
		runtime.LockOSThread()
		if _, _, errno := unix.RawSyscall(unix.SYS_SETUID, nobody, 0, 0); errno != 0 {
			err = errno
			return
		}
		var l endpoint.Listener
		if l, err = hubTerminals(t).Bind(s); err == nil {
			l.Close()
		}
	}()
	<-ended
	if err == nil || !strings.Contains(err.Error(), "may not give "+path+" to uid 0") || strings.Contains(err.Error(), "/dev/pts/") {
		t.Errorf("Bind gave %v", err)
	}
}

func TestTerminalAdopted(t *testing.T) {
	for _, name := range []string{"nobody", "peer", "newcomer", "writer"} {
		t.Run(name, func(t *testing.T) {
			testenv.NoDescriptorsLeft(t)
			o := hubTerminals(t)
			path := filepath.Join(testenv.Dir(t), "dbg tty%:1")
			s := terminal(t, path)
			old, err := o.Bind(s)
			if err != nil {
				t.Fatal(err)
			}
			defer old.Close()
			if err := old.Listen(); err != nil {
				t.Fatal(err)
			}
			link, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			if name == "peer" {
				defer user(t, path).Close()
				p := admitted(t, old)
				stty(t, path, "sane")
				p.Close()
			}
			fd, trace := old.Kept()
			if strings.ContainsAny(trace, " \n") {
				t.Errorf("the trace is %q", trace)
			}
			fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			switch name {
			case "newcomer":
				defer user(t, path).Close()
			case "writer":
				f := user(t, path)
				fmt.Fprint(f, "hello")
				f.Close()
			}
			l, err := o.Adopt(fd, s, trace)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if now, err := os.Lstat(path); err != nil || !os.SameFile(link, now) {
				t.Errorf("there is another link: %v, %v", now, err)
			}
			if _, again := l.Kept(); again != trace {
				t.Errorf("the trace was %q, and is %q", trace, again)
			}
			if name == "nobody" {
				quiet(t, l)
				return
			}
			p := admitted(t, l)
			switch name {
			case "peer":
				if got := stty(t, path, "-a"); isRaw(got) {
					t.Errorf("its settings have changed: %s", got)
				}
			case "writer":
				if got := said(t, p); string(got) != "hello" {
					t.Errorf("the hub got %q", got)
				}
			}
			hangUp(p)
		})
	}
}

func TestTerminalAdoptedWithoutItsLink(t *testing.T) {
	tests := []struct {
		name string
		harm func(t *testing.T, path string)
		says string // "" if the link is made again
	}{
		{"deleted", func(t *testing.T, path string) { os.Remove(path) }, ""},
		{"replaced by a file", func(t *testing.T, path string) { os.Remove(path); os.WriteFile(path, nil, 0o600) }, "is a file, not a link"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			testenv.NoDescriptorsLeft(t)
			o := hubTerminals(t)
			path := filepath.Join(testenv.Dir(t), "dbg.tty")
			old := openTerminal(t, o, path)
			fd, trace := old.Kept()
			fd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			test.harm(t, path)
			l, err := o.Adopt(fd, terminal(t, path), trace)
			if test.says != "" {
				if err == nil || !strings.Contains(err.Error(), test.says) {
					t.Errorf("Adopt gave %v", err)
				}
				if _, err := os.Lstat(path); err != nil {
					t.Errorf("the other's file is gone: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			defer user(t, path).Close()
			hangUp(admitted(t, l))
		})
	}
}

func TestTerminalAdoptedWrongly(t *testing.T) {
	testenv.NoDescriptorsLeft(t)
	o := hubTerminals(t)
	path := filepath.Join(testenv.Dir(t), "dbg.tty")
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Adopt(null, terminal(t, path), "1:1:"+path); err == nil || !strings.Contains(err.Error(), "not the master") {
		t.Errorf("Adopt of /dev/null gave %v", err)
	}
	l := openTerminal(t, o, path)
	fd, trace := l.Kept()
	for _, trace := range []string{"", "x", "1:2", "a:b:c", "1:2:%zz", trace + "x"} {
		fd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.Adopt(fd, terminal(t, path), trace); err == nil || !strings.Contains(err.Error(), "it is the terminal of") {
			t.Errorf("Adopt by %q gave %v", trace, err)
		}
	}
}

func TestTerminalDisposedOf(t *testing.T) {
	testenv.NoDescriptorsLeft(t)
	o := hubTerminals(t)
	path := filepath.Join(testenv.Dir(t), "dbg.tty")
	l := openTerminal(t, o, path)
	defer l.Close()
	fd, trace := l.Kept()
	for _, mine := range []bool{false, true} {
		fd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if mine {
			endpoint.Dispose(fd, trace)
		} else {
			endpoint.Dispose(fd, "1"+trace)
		}
		if _, err := os.Lstat(path); mine != os.IsNotExist(err) {
			t.Errorf("its own trace: %v; the link: %v", mine, err)
		}
	}
}

// TestTerminalCloses hangs up whoever is at a terminal when nobody has the master any more.
func TestTerminalCloses(t *testing.T) {
	testenv.NoDescriptorsLeft(t)
	l, path := newTerminal(t)
	f := user(t, path)
	p := admitted(t, l)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the link is still there: %v", err)
	}
	sayTo(t, p, []byte("still here"))
	ready(t, int(f.Fd()), unix.POLLIN)
	if got := readNow(t, f); got != "still here" {
		t.Errorf("it got %q", got)
	}
	hangUp(p)
	if got := ready(t, int(f.Fd()), unix.POLLIN); got&unix.POLLHUP == 0 {
		t.Errorf("the program sees %x, and no end", got)
	}
	f.Close()
}
