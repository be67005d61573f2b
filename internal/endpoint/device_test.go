package endpoint_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/address"
	"serialhub/internal/endpoint"
	"serialhub/internal/testenv"
)

// cable makes a serial port without hardware: the slave of a pseudo-terminal, which has the line discipline of a real one, and
// its master, which is the other side of the cable. A slave has always 8 data bits and no parity.
func cable(t *testing.T) (far *os.File, path string) {
	t.Helper()
	master, path := testenv.NewTerminal(t)
	return master.File, path
}

func port(t *testing.T, path string) endpoint.Spec {
	t.Helper()
	addr, err := address.ParseFile(address.Device, path, "/")
	if err != nil {
		t.Fatal(err)
	}
	return endpoint.Spec{Address: addr, Serial: endpoint.Serial{Baud: 115200, DataBits: 8, Parity: "none", StopBits: 1, FlowControl: "none"}}
}

// openPort opens a port, and closes it with the test.
func openPort(t *testing.T, s endpoint.Spec) endpoint.Peer {
	t.Helper()
	p, err := new(endpoint.Opener).Dial(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closePort(t, p) })
	return p
}

// refusePort checks that a port cannot be opened, and why.
func refusePort(t *testing.T, s endpoint.Spec, says ...string) {
	t.Helper()
	p, err := new(endpoint.Opener).Dial(t.Context(), s)
	if err == nil {
		closePort(t, p)
		t.Fatalf("%s was opened", s.Address)
	}
	for _, text := range append(says, s.Address.Path()) {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("Dial says %q, which does not contain %q", err, text)
		}
	}
}

// closePort closes a port, and waits for what Close leaves to a goroutine. A port that is closed already is left alone.
func closePort(t *testing.T, p endpoint.Peer) {
	t.Helper()
	path := portAt(p.FD)
	if path == "" {
		return
	}
	p.Close()
	awaitPort(t, "the descriptor is closed", func() bool { return portAt(p.FD) == "" })
}

// portAt is the terminal that a descriptor of the process is, if it is one.
func portAt(fd int) string {
	name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil || !strings.HasPrefix(name, "/dev/pts/") {
		return ""
	}
	return name
}

func awaitPort(t *testing.T, what string, done func() bool) {
	t.Helper()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for limit := time.After(20 * time.Second); !done(); {
		select {
		case <-again.C:
		case <-limit:
			t.Fatalf("it did not happen that %s", what)
		}
	}
}

func readPort(t *testing.T, p endpoint.Peer, size int) []byte {
	t.Helper()
	var got []byte
	buf := make([]byte, size)
	awaitPort(t, fmt.Sprintf("%d bytes come", size), func() bool {
		n, err := unix.Read(p.FD, buf[:size-len(got)])
		if err != nil && !errors.Is(err, unix.EAGAIN) {
			t.Fatal(err)
		}
		got = append(got, buf[:max(n, 0)]...)
		return len(got) == size
	})
	return got
}

func readFar(t *testing.T, far *os.File, size int) []byte {
	t.Helper()
	got := make([]byte, size)
	far.SetReadDeadline(time.Now().Add(20 * time.Second))
	for read := 0; read < size; {
		n, err := far.Read(got[read:])
		if err != nil {
			t.Fatal(err)
		}
		read += n
	}
	return got
}

func everyByte() []byte {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return all
}

func lockOf(path string) string {
	return "/var/lock/LCK.." + strings.ReplaceAll(strings.TrimPrefix(path, "/dev/"), "/", "_")
}

// writeLockOf makes a lock file as another program does.
func writeLockOf(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(lockOf(path), []byte(content), 0o644); err != nil {
		t.Skipf("there can be no lock files here: %v", err)
	}
	t.Cleanup(func() { os.Remove(lockOf(path)) })
}

func wantOurLock(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat("/var/lock"); err != nil {
		t.Skipf("there can be no lock files here: %v", err)
	}
	content, err := os.ReadFile(lockOf(path))
	if want := fmt.Sprintf("%10d\n", os.Getpid()); string(content) != want {
		t.Errorf("the lock file holds %q, %v; want %q", content, err, want)
	}
}

func wantNoLock(t *testing.T, path string) {
	t.Helper()
	if content, err := os.ReadFile(lockOf(path)); !os.IsNotExist(err) {
		t.Errorf("there is a lock file, with %q, %v", content, err)
	}
}

// deadPID is that of a process that has ended.
func deadPID(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

// another starts a process that lasts as long as the test, with a file for its input, if any.
func another(t *testing.T, input *os.File) int {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if input != nil {
		cmd.Stdin = input
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for limit := time.After(10 * time.Second); endpoint.Identify(cmd.Process.Pid).Command != "sleep"; { // Start returns before /proc says so
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("sleep has not begun")
		}
	}
	return cmd.Process.Pid
}

func TestPortCarriesEveryByte(t *testing.T) {
	testenv.NoDescriptorsLeft(t)
	far, path := cable(t)
	s := port(t, path)
	p := openPort(t, s)
	if want := (endpoint.Credentials{Address: path}); p.Credentials != want || p.Nature != endpoint.Line || p.Via != s.Via() {
		t.Errorf("the peer is %+v", p)
	}
	if flags, err := unix.FcntlInt(uintptr(p.FD), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("the descriptor blocks (flags %x, %v)", flags, err)
	}
	if flags, err := unix.FcntlInt(uintptr(p.FD), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("the descriptor is inherited (flags %x, %v)", flags, err)
	}
	all := everyByte()
	if _, err := far.Write(all); err != nil {
		t.Fatal(err)
	}
	awaitPort(t, "all bytes are counted", func() bool { return p.Unread() == len(all) })
	if got := readPort(t, p, len(all)); !bytes.Equal(got, all) {
		t.Errorf("came in: %x", got)
	}
	if _, err := unix.Write(p.FD, all); err != nil {
		t.Fatal(err)
	}
	if got := readFar(t, far, len(all)); !bytes.Equal(got, all) {
		t.Errorf("went out: %x", got)
	}
	if p.Gone() {
		t.Error("a port that is there has gone")
	}
}

func TestPortDropsWhatCameBefore(t *testing.T) {
	far, path := cable(t)
	early, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0) // a slave keeps nothing for nobody
	if err != nil {
		t.Fatal(err)
	}
	far.Write([]byte("stale\n"))
	early.Close()
	p := openPort(t, port(t, path))
	far.Write([]byte("new"))
	if got := readPort(t, p, 3); string(got) != "new" {
		t.Errorf("%q was read", got)
	}
}

// stty has the real tool read the settings of a port that is open.
func portSettings(t *testing.T, fd int) string {
	t.Helper()
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	input := os.NewFile(uintptr(own), "port")
	defer input.Close()
	cmd := exec.Command("stty", "-a")
	cmd.Stdin = input
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return " " + strings.Join(strings.FieldsFunc(string(out), func(r rune) bool { return r == ' ' || r == '\n' || r == ';' }), " ") + " "
}

func TestPortSettings(t *testing.T) {
	raw := []string{
		"cs8", "-parenb", "cread", "clocal", "-icanon", "-echo", "-isig", "-iexten", "-opost", "-icrnl", "-inlcr", "-igncr", "-istrip",
		"-parmrk", "-inpck", "-ignbrk", "-brkint", "-ixany", "min = 1", "time = 0",
	}
	tests := []struct {
		name  string
		set   func(*endpoint.Serial)
		shows []string
	}{
		{"plain", func(*endpoint.Serial) {}, []string{"-cstopb", "-crtscts", "-ixon", "-ixoff"}},
		{"two stop bits", func(s *endpoint.Serial) { s.StopBits = 2 }, []string{"cstopb"}},
		{"hardware", func(s *endpoint.Serial) { s.FlowControl = "hardware" }, []string{"crtscts", "-ixon", "-ixoff"}},
		{"software", func(s *endpoint.Serial) { s.FlowControl = "software" }, []string{"-crtscts", "ixon", "ixoff", "start = ^Q", "stop = ^S"}},
	}
	testenv.NoDescriptorsLeft(t)
	_, path := cable(t)
	changing := openPort(t, port(t, path))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, path := cable(t)
			s := port(t, path)
			test.set(&s.Serial)
			opened := openPort(t, s)
			if err := changing.Adjust(s); err != nil {
				t.Error(err)
			}
			for how, p := range map[string]endpoint.Peer{"opened": opened, "changed in place": changing} {
				all := portSettings(t, p.FD)
				for _, want := range slices.Concat(raw, test.shows) {
					if !strings.Contains(all, " "+want+" ") {
						t.Errorf("%s: stty shows no %q: %s", how, want, all)
					}
				}
			}
		})
	}
}

// TestPortHasAnyRate asks the kernel itself: stty knows no rates but the classic ones, nor those if they are not written in the classic way.
func TestPortHasAnyRate(t *testing.T) {
	_, path := cable(t)
	s := port(t, path)
	p := openPort(t, s)
	for _, baud := range []int{1, 50, 9600, 31250, 38400, 74880, 250000, 1234567, math.MaxInt32} {
		s.Serial.Baud = baud
		if err := p.Adjust(s); err != nil {
			t.Error(err)
		}
		wantRate(t, p, baud)
	}
}

func wantRate(t *testing.T, p endpoint.Peer, baud int) {
	t.Helper()
	now, err := unix.IoctlGetTermios(p.FD, unix.TCGETS2)
	if err != nil || int(now.Ospeed) != baud || int(now.Ispeed) != baud {
		t.Errorf("the rates are %d in and %d out, %v; want %d", now.Ispeed, now.Ospeed, err, baud)
	}
}

// TestPortRefusesSettings asks for what a pseudo-terminal does not take, as a driver may not, and for what does not exist.
func TestPortRefusesSettings(t *testing.T) {
	tests := []struct {
		name string
		set  func(*endpoint.Serial)
		says string
	}{
		{"7 data bits", func(s *endpoint.Serial) { s.DataBits = 7 }, "cannot have 115200 baud 7N1; its driver makes 115200 baud 8N1 of it"},
		{"even", func(s *endpoint.Serial) { s.Parity = "even" }, "cannot have 115200 baud 8E1; its driver makes 115200 baud 8N1 of it"},
		{"mark", func(s *endpoint.Serial) { s.Parity = "mark" }, "cannot have 115200 baud 8M1"},
		{"none at all", func(s *endpoint.Serial) { *s = endpoint.Serial{} }, "cannot have 0 baud"},
		{"4 data bits", func(s *endpoint.Serial) { s.DataBits = 4 }, "5 to 8"},
		{"half parity", func(s *endpoint.Serial) { s.Parity = "half" }, `"half" is not a parity`},
		{"3 stop bits", func(s *endpoint.Serial) { s.StopBits = 3 }, "1 or 2"},
		{"magic flow control", func(s *endpoint.Serial) { s.FlowControl = "magic" }, `"magic" is not a way of flow control`},
	}
	testenv.NoDescriptorsLeft(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			far, path := cable(t)
			s := port(t, path)
			test.set(&s.Serial)
			refusePort(t, s, test.says)
			wantNoLock(t, path)
			p := openPort(t, port(t, path)) // it was left to others
			before := portSettings(t, p.FD)
			far.Write([]byte("kept"))
			if err := p.Adjust(s); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("Adjust says %v", err)
			}
			if after := portSettings(t, p.FD); after != before {
				t.Errorf("the settings were %s, and are %s", before, after)
			}
			if got := readPort(t, p, 4); string(got) != "kept" {
				t.Errorf("%q was read", got)
			}
		})
	}
}

func TestPortIsTakenAlone(t *testing.T) {
	testenv.NoDescriptorsLeft(t)
	far, path := cable(t)
	s := port(t, path)
	p := openPort(t, s)
	wantOurLock(t, path)
	refusePort(t, s, fmt.Sprintf("in use by another end of the hub itself, pid %d (", os.Getpid()))
	wantOurLock(t, path)
	// On a terminal it would outlive a hub that is killed. A real port has it; test/guest looks.
	if exclusive, err := unix.IoctlGetInt(p.FD, unix.TIOCGEXCL); err != nil || exclusive != 0 {
		t.Errorf("TIOCGEXCL gives %d, %v", exclusive, err)
	}
	far.Write([]byte("x"))
	readPort(t, p, 1)
	closePort(t, p)
	wantNoLock(t, path)
	openPort(t, s)
}

// TestPortIsFreeAtOnce opens a port again as soon as Close has returned.
func TestPortIsFreeAtOnce(t *testing.T) {
	testenv.NoDescriptorsLeft(t)
	_, path := cable(t)
	s := port(t, path)
	s.Serial.FlowControl = "hardware"
	for range 100 {
		p, err := new(endpoint.Opener).Dial(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if now, err := unix.IoctlGetTermios(p.FD, unix.TCGETS2); err != nil || now.Cflag&unix.CRTSCTS == 0 {
			t.Fatalf("the one before has changed the settings: %+v, %v", now, err)
		}
		p.Close()
		wantNoLock(t, path)
	}
	closePort(t, openPort(t, s))
	awaitPort(t, "all are closed", func() bool {
		links, _ := filepath.Glob("/proc/self/fd/*")
		for _, link := range links {
			if name, err := os.Readlink(link); err == nil && name == path {
				return false
			}
		}
		return true
	})
}

func TestPortLockFile(t *testing.T) {
	alive := another(t, nil)
	tests := []struct {
		name, content string
		says          string // "" if the port is to be opened
	}{
		{"of a dead process", fmt.Sprintf("%10d\n", deadPID(t)), ""},
		{"with a name behind the pid", fmt.Sprintf("%10d minicom root\n", deadPID(t)), ""},
		{"of an earlier process of the same pid", fmt.Sprintf("%10d\n", os.Getpid()), ""},
		{"of a live process", fmt.Sprintf("%10d\n", alive), fmt.Sprintf("in use by pid %d (sleep)", alive)},
		{"of a live process, with a name", fmt.Sprintf("%10d picocom\n", alive), fmt.Sprintf("in use by pid %d (sleep)", alive)},
		{"not yet written", "", "a lock file without a pid"},
		{"not a pid", "hello\n", "a lock file without a pid"},
		{"of no process that can be", "4294967297\n", "a lock file without a pid"},
		{"in binary, of a dead process", binaryPID(deadPID(t)), ""},
		{"in binary, of a live process", binaryPID(alive), fmt.Sprintf("in use by pid %d (sleep)", alive)},
	}
	testenv.NoDescriptorsLeft(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, path := cable(t)
			writeLockOf(t, path, test.content)
			if test.says == "" {
				p := openPort(t, port(t, path))
				wantOurLock(t, path)
				closePort(t, p)
				wantNoLock(t, path)
				return
			}
			refusePort(t, port(t, path), test.says, lockOf(path))
			if content, err := os.ReadFile(lockOf(path)); err != nil || string(content) != test.content {
				t.Errorf("the lock file now holds %q, %v", content, err)
			}
		})
	}
	t.Run("never written", func(t *testing.T) {
		_, path := cable(t)
		writeLockOf(t, path, "")
		long := time.Now().Add(-time.Minute)
		if err := os.Chtimes(lockOf(path), long, long); err != nil {
			t.Fatal(err)
		}
		openPort(t, port(t, path))
		wantOurLock(t, path)
	})
	t.Run("of another since", func(t *testing.T) {
		_, path := cable(t)
		p := openPort(t, port(t, path))
		writeLockOf(t, path, fmt.Sprintf("%10d\n", alive))
		closePort(t, p)
		if _, err := os.Stat(lockOf(path)); err != nil {
			t.Errorf("another's lock file has been removed: %v", err)
		}
	})
	t.Run("of the device behind a link", func(t *testing.T) {
		_, path := cable(t)
		link := filepath.Join(testenv.Dir(t), "by-id")
		if err := os.Symlink(path, link); err != nil {
			t.Fatal(err)
		}
		p := openPort(t, port(t, link))
		wantOurLock(t, path)
		if p.Credentials.Address != link {
			t.Errorf("the peer is at %s", p.Credentials.Address)
		}
		refusePort(t, port(t, link), path, "in use by another end")
		os.Remove(link) // as udev does when it is unplugged
		closePort(t, p)
		wantNoLock(t, path)
	})
}

func binaryPID(pid int) string { return string(binary.NativeEndian.AppendUint32(nil, uint32(pid))) }

// TestPortStrangeLockFile puts into the folder of the lock files, to which everybody may write, what would stop or kill whoever reads it as a file.
func TestPortStrangeLockFile(t *testing.T) {
	tests := []struct {
		name string
		put  func(lock string) error
		says string // "" if the port is to be opened
	}{
		{"a FIFO", func(lock string) error { return unix.Mkfifo(lock, 0o644) }, ""},
		{"a link to an endless file", func(lock string) error { return os.Symlink("/dev/zero", lock) }, ""},
		{"a folder", func(lock string) error { return os.Mkdir(lock, 0o700) }, ""},
		{"a huge file", func(lock string) error {
			return errors.Join(os.WriteFile(lock, nil, 0o644), os.Truncate(lock, 8<<40))
		}, "a lock file without a pid"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, path := cable(t)
			put := func() {
				t.Helper()
				os.Remove(lockOf(path))
				if err := test.put(lockOf(path)); err != nil {
					t.Skipf("it cannot be made here: %v", err)
				}
			}
			t.Cleanup(func() { os.Remove(lockOf(path)) })
			put()
			if test.says != "" {
				refusePort(t, port(t, path), test.says, lockOf(path))
				os.Remove(lockOf(path))
			}
			p := openPort(t, port(t, path))
			put()
			closePort(t, p)
		})
	}
}

// TestPortThatIsOpenElsewhere may be one that somebody else has to himself. A terminal that stands for a port may be open elsewhere: its maker may
// keep it so. (A real port may not; test/guest has one.)
func TestPortThatIsOpenElsewhere(t *testing.T) {
	testenv.NoDescriptorsLeft(t)
	_, path := cable(t)
	slave, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	pid := another(t, slave)
	closePort(t, openPort(t, port(t, path)))
	if err := unix.IoctlSetInt(int(slave.Fd()), unix.TIOCEXCL, 0); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	refusePort(t, port(t, path), fmt.Sprintf("in use by pid %d (sleep)", pid))
	wantNoLock(t, path)
}

func TestPortIsRefusedToPicocom(t *testing.T) {
	picocom := testenv.Program(t, "picocom")
	far, path := cable(t)
	p := openPort(t, port(t, path))
	cmd := exec.CommandContext(t.Context(), picocom, "--noreset", "--exit-after", "1000", path)
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "FATAL: cannot ") { // lock it, or for others than root, open it
		t.Errorf("picocom says %q, %v", out, err)
	}
	far.Write([]byte("x"))
	readPort(t, p, 1)
}

func TestPortUnplugged(t *testing.T) {
	testenv.NoDescriptorsLeft(t)
	far, path := cable(t)
	s := port(t, path)
	p := openPort(t, s)
	far.Close() // a hangup, as when a USB port is unplugged
	awaitPort(t, "the peer has gone", p.Gone)
	if n, err := unix.Read(p.FD, make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("read gave %d, %v", n, err)
	}
	if _, err := unix.Write(p.FD, []byte("x")); !errors.Is(err, unix.EIO) {
		t.Errorf("write gave %v", err)
	}
	if n := p.Unread(); n != 0 {
		t.Errorf("%d bytes are unread", n)
	}
	if err := p.Err(); err == nil || !strings.Contains(err.Error(), "unplugged") {
		t.Errorf("it has left because of: %v", err)
	}
	if err := p.Break(time.Millisecond); err == nil || !strings.Contains(err.Error(), "unplugged") {
		t.Errorf("Break says %v", err)
	}
	if err := p.Adjust(s); !errors.Is(err, unix.EIO) {
		t.Errorf("Adjust says %v", err)
	}
	wantOurLock(t, path)
	closePort(t, p)
	wantNoLock(t, path)
	refusePort(t, s, "does not exist", "plug it in")
}

func TestPortClosesWithOutputStuck(t *testing.T) {
	testenv.NoDescriptorsLeft(t)
	far, path := cable(t)
	p := openPort(t, port(t, path))
	filled := 0
	for {
		n, err := unix.Write(p.FD, make([]byte, 4096))
		if err != nil {
			break
		}
		filled += n
	}
	start := time.Now()
	p.Close()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("Close took %v with %d bytes unread", took, filled)
	}
	awaitPort(t, "the descriptor is closed", func() bool { return portAt(p.FD) == "" })
	far.SetReadDeadline(time.Now().Add(20 * time.Second))
	left, err := io.Copy(io.Discard, far)
	if !errors.Is(err, unix.EIO) { // which is how a master is told that nobody has the slave open
		t.Errorf("the far side was told %v", err)
	}
	if left >= int64(filled) {
		t.Errorf("all %d bytes were left", left)
	}
}

// TestPortBreak can see no break, which a pseudo-terminal does not have, but that the calls do not block, and harm nothing.
func TestPortBreak(t *testing.T) {
	testenv.NoDescriptorsLeft(t)
	far, path := cable(t)
	p := openPort(t, port(t, path))
	const d = 20 * time.Millisecond
	start := time.Now()
	done := make(chan error, 2)
	for range cap(done) {
		go func() { done <- p.Break(d) }()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(start); took < d {
		t.Errorf("a break of %v took %v", d, took)
	}
	unix.Write(p.FD, []byte("x"))
	readFar(t, far, 1)
	if err := (endpoint.Peer{FD: p.FD}).Break(d); !errors.Is(err, endpoint.ErrNoBreak) {
		t.Errorf("a socket's break gave %v", err)
	}
}

// TestPortIsAdopted goes on with a port as the next process of the hub does.
func TestPortIsAdopted(t *testing.T) {
	testenv.NoDescriptorsLeft(t)
	far, path := cable(t)
	s := port(t, path)
	p := openPort(t, s)
	writeLockOf(t, path, fmt.Sprintf("%10d\n", deadPID(t)))
	far.Write([]byte("in"))
	unix.Write(p.FD, []byte("out"))
	awaitPort(t, "the bytes are there", func() bool { return p.Unread() == 2 })
	next, err := endpoint.AdoptPeer(p.FD, s, p.Trace())
	if err != nil {
		t.Fatal(err)
	}
	if next != p {
		t.Errorf("it was %+v, and is %+v", p, next)
	}
	wantOurLock(t, path)
	s.Serial.Baud = 9600
	if next, err = endpoint.AdoptPeer(p.FD, s, p.Trace()); err != nil {
		t.Fatal(err)
	}
	wantRate(t, p, 9600)
	if got := readPort(t, next, 2); string(got) != "in" {
		t.Errorf("%q was read", got)
	}
	if got := readFar(t, far, 3); string(got) != "out" {
		t.Errorf("%q was sent", got)
	}
}

func TestPortThatCannotBeAdopted(t *testing.T) {
	tests := []struct {
		name string
		harm func(t *testing.T, far *os.File, s *endpoint.Spec)
		says string
	}{
		{"unplugged", func(_ *testing.T, far *os.File, _ *endpoint.Spec) { far.Close() }, "unplugged"},
		{"of another address", func(t *testing.T, _ *os.File, s *endpoint.Spec) {
			_, other := cable(t)
			*s = port(t, other)
		}, "what was left for"},
		{"settings that it does not take", func(_ *testing.T, _ *os.File, s *endpoint.Spec) { s.Serial.DataBits = 7 }, "cannot have"},
		{"locked by another", func(t *testing.T, _ *os.File, s *endpoint.Spec) {
			writeLockOf(t, s.Address.Path(), fmt.Sprintf("%10d\n", another(t, nil)))
		}, "(sleep)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			testenv.NoDescriptorsLeft(t)
			far, path := cable(t)
			s := port(t, path)
			p, err := new(endpoint.Opener).Dial(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.Remove(lockOf(path)) }) // of a descriptor that was not adopted
			test.harm(t, far, &s)
			if _, err := endpoint.AdoptPeer(p.FD, s, p.Trace()); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("AdoptPeer says %v", err)
			}
			if portAt(p.FD) != "" {
				t.Error("the descriptor is still open")
			}
		})
	}
}

func TestPortRefuses(t *testing.T) {
	dir := testenv.Dir(t)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	dangling := filepath.Join(dir, "dangling")
	if err := os.Symlink(filepath.Join(dir, "none"), dangling); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, path, says string }{
		{"nothing", "/dev/ttyUSB4711", "does not exist"},
		{"nothing behind a link", dangling, "plug it in, or correct the path"},
		{"a file for a folder", filepath.Join(file, "x"), "does not exist"},
		{"a file", file, "is a file, not a serial port"},
		{"a folder", folder, "is a folder, not a serial port"},
		{"a fifo", fifo, "is a special file, not a serial port"},
		{"a device", "/dev/null", "a device of another kind"},
		{"the terminal", "/dev/tty", "a terminal of the system"},
		{"the master of pseudo-terminals", "/dev/ptmx", "a terminal of the system"},
	}
	testenv.NoDescriptorsLeft(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { refusePort(t, port(t, test.path), test.says) })
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "precious" {
		t.Errorf("the file now holds %q, %v", content, err)
	}
	t.Run("without hardware", func(t *testing.T) {
		path := filepath.Join(dir, "ttyX")
		if err := unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(136, 900000))); err != nil {
			t.Skipf("there can be no devices here: %v", err)
		}
		refusePort(t, port(t, path), "plug it in")
	})
}

// TestPortHelper is the process that portInChild starts, not a test.
func TestPortHelper(t *testing.T) {
	path := os.Getenv("SERIALHUB_TEST_PORT")
	if path == "" {
		t.Skip("it is run by other tests")
	}
	if place := os.Getenv("SERIALHUB_TEST_TMPFS"); place != "" {
		if err := unix.Mount("none", place, "tmpfs", unix.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
	}
	p, err := new(endpoint.Opener).Dial(t.Context(), port(t, path))
	if err != nil {
		fmt.Println("Dial says:", err)
		return
	}
	closePort(t, p)
	fmt.Println("Dial opened it")
}

// portInChild opens a port in a process of its own, and tells what came of it.
func portInChild(t *testing.T, path, tmpfs string, attr *syscall.SysProcAttr) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("it takes root")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestPortHelper$")
	cmd.Env = append(os.Environ(), "SERIALHUB_TEST_PORT="+path, "SERIALHUB_TEST_TMPFS="+tmpfs,
		"GORACE=atexit_sleep_ms=0") // or the race detector waits for a second at each end
	cmd.SysProcAttr = attr
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestPortOfAnotherUser(t *testing.T) {
	tests := []struct {
		name     string
		mode     os.FileMode
		gid      int
		busy     bool
		contains string
	}{
		{"open to a group", 0o660, 1, false, "may be opened by group daemon"},
		{"how to join it", 0o660, 1, false, "usermod -aG daemon nobody"},
		{"a group without a name", 0o660, 47114711, false, "may be opened by group 47114711"},
		{"root's alone", 0o600, 1, false, "only root may open"},
		{"root's group", 0o660, 0, false, "only root may open"},
		{"open to all", 0o666, 1, false, "Dial opened it"},
		{"exclusive", 0o666, 1, true, "in use by a program that is not visible from here"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, path := cable(t)
			if err := os.Chown(path, 0, test.gid); err != nil {
				t.Skipf("it takes root: %v", err)
			}
			if err := os.Chmod(path, test.mode); err != nil {
				t.Fatal(err)
			}
			if test.busy {
				slave, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer slave.Close()
				if err := unix.IoctlSetInt(int(slave.Fd()), unix.TIOCEXCL, 0); err != nil {
					t.Fatal(err)
				}
			}
			nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			if out := portInChild(t, path, "", nobody); !strings.Contains(out, test.contains) || !strings.Contains(out, path) && !strings.Contains(out, "opened it") {
				t.Errorf("it does not say %q: %s", test.contains, out)
			}
		})
	}
}

func TestPortWithoutLockFolder(t *testing.T) {
	for name, place := range map[string]string{"not writable": "/run/lock", "missing": "/run"} {
		t.Run(name, func(t *testing.T) {
			if real, err := filepath.EvalSymlinks("/var/lock"); err != nil || real != "/run/lock" {
				t.Skipf("the folder is %s, %v", real, err)
			}
			_, path := cable(t)
			out := portInChild(t, path, place, &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS})
			if !strings.Contains(out, "Dial opened it") {
				t.Errorf("it was not opened: %s", out)
			}
		})
	}
}
