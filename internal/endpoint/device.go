package endpoint

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// errUnplugged is why a serial port leaves. poll(2) says POLLHUP and POLLERR then, read(2) gives 0, write(2) and every ioctl(2) EIO; and
// splice(2) from it EINVAL, as if it had never been able to.
var errUnplugged = errors.New("the device has been unplugged, or hung up")

// openDevice takes a serial port for the hub alone. It does not wait for a carrier, but open(2) blocks while another program's close(2) waits
// for the port to send, which can be half a minute.
func openDevice(s Spec) (Peer, error) {
	path := s.Address.Path()
	fd, err := takeDevice(path)
	if err == nil {
		if err = s.Serial.apply(fd); err == nil {
			err = control(fd, unix.TCFLSH, unix.TCIFLUSH) // what came while nobody had the port open, and at another rate
		}
		if err != nil {
			closeDevice(fd)
		}
	}
	if err != nil {
		return Peer{}, unopened(path, err)
	}
	return devicePeer(fd, s), nil
}

func devicePeer(fd int, s Spec) Peer {
	return Peer{FD: fd, Nature: Line, Via: s.Via(), Credentials: Credentials{Address: s.Address.Path()}}
}

// adoptDevice goes on with a port that an earlier process had open. What is in its queues stays there. With an error
// the descriptor is still the caller's, to be closed.
func adoptDevice(fd int, s Spec) (Peer, error) {
	device := ttyOf(fd)
	if is, err := filepath.EvalSymlinks(s.Address.Path()); err == nil && is != device {
		return Peer{}, fmt.Errorf("what was left for %s is %s", s.Address, device)
	}
	_, err := settings(fd) // a port that is gone needs no lock
	if err == nil {
		err = lockExclusively(fd, device, func(int, string) error { return nil })
		if err == nil {
			if err = s.Serial.apply(fd); err != nil {
				letGo(fd) // so that close(2) does not wait, nor the next who opens it
				unlock(fd)
			}
		}
	}
	switch {
	case errors.Is(err, unix.EIO):
		return Peer{}, fmt.Errorf("%s: %w", device, errUnplugged)
	case err != nil:
		return Peer{}, fmt.Errorf("%s: %w", device, err)
	}
	return devicePeer(fd, s), nil
}

// takeDevice opens a serial port that nobody else uses.
func takeDevice(path string) (int, error) {
	device, err := filepath.EvalSymlinks(path) // of /dev/serial/by-id, for which others see no lock
	if err != nil {
		return -1, err
	}
	if err := isSerial(device); err != nil {
		return -1, err
	}
	if err := lockFree(device); err != nil { // looked for first, because opening it may already disturb
		return -1, err
	}
	fd, err := open(device)
	if errors.Is(err, unix.EBUSY) {
		return -1, inUse(device) // TIOCEXCL of ioctl_tty(2)
	}
	if err != nil {
		return -1, err
	}
	if _, err = settings(fd); err == nil { // a port without hardware can be opened, but nothing else
		err = lockExclusively(fd, device, alone)
	}
	if err != nil {
		unix.Close(fd) // nothing was written to it
	}
	if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EBUSY) {
		return -1, inUse(device) // asked now that this one is closed
	}
	return fd, err
}

func open(device string) (int, error) {
	for {
		fd, err := unix.Open(device, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, os.NewSyscallError("open", err)
		}
	}
}

// alone tells whether nobody else has a port open: not every program locks it. Getty does not, and would take half of what comes. Root's open(2)
// succeeds in spite of TIOCEXCL.
func alone(fd int, device string) error {
	if exclusive, err := unix.IoctlGetInt(fd, unix.TIOCGEXCL); err == nil && exclusive != 0 {
		return unix.EBUSY // some know no other lock
	}
	if isPTY(fd) {
		return nil // who makes a terminal that stands for a port may keep it open himself, as socat does
	}
	if holderOf(device, os.Getpid()) != 0 {
		return unix.EBUSY
	}
	return nil
}

// lockExclusively keeps other programs away from a port, in each of the ways that one or another of them knows. It does no harm
// to do it again. Between the first lock and the others, check has a say.
func lockExclusively(fd int, device string, check func(fd int, device string) error) error {
	err := flock(fd)
	if err != nil {
		return err
	}
	if err = check(fd, device); err == nil {
		err = takeLock(device)
	}
	if err == nil && !isPTY(fd) { // where it would stay when the hub is killed, for as long as somebody has the master
		err = control(fd, unix.TIOCEXCL, 0)
	}
	if err != nil {
		unix.Flock(fd, unix.LOCK_UN) //nolint:errcheck // the first error is the one to report
	}
	return err
}

// unlocking is how long a lock is waited for: the hub's own Close may still be at work on the same port.
const unlocking = time.Second

// flock takes the lock of flock(2) on a port.
func flock(fd int) error {
	again := time.NewTicker(unlocking / 100)
	defer again.Stop()
	for limit := time.After(unlocking); ; {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return os.NewSyscallError("flock", err)
		}
		select {
		case <-again.C:
		case <-limit:
			return os.NewSyscallError("flock", err)
		}
	}
}

// letGo gives a port to others, and drops what it has not sent: close(2) would wait for that, for the 30 s of closing_wait.
func letGo(fd int) {
	control(fd, unix.TCFLSH, unix.TCOFLUSH) //nolint:errcheck // it may be unplugged
	dropLock(ttyOf(fd))
	control(fd, unix.TIOCNXCL, 0) //nolint:errcheck // likewise
}

// unlock is what letGo leaves, because it may block for a moment. It matters where another process has a copy of the descriptor, such as the
// service manager: the lock would stay.
func unlock(fd int) {
	// A flush does not reach the hardware's own queue, and with CRTSCTS close(2) waits for the whole of closing_wait until the other side takes that.
	if t, err := settings(fd); err == nil && t.Cflag&unix.CRTSCTS != 0 {
		t.Cflag &^= unix.CRTSCTS
		unix.IoctlSetTermios(fd, unix.TCSETS2, t) //nolint:errcheck // it only takes longer then
	}
	unix.Flock(fd, unix.LOCK_UN) //nolint:errcheck // it ends with the descriptor, too
}

// closeDevice closes a port. The lock file goes first, and at once: nobody reads the port any more, and if the process ends now, it is not left
// behind. The rest has a goroutine of its own, because close(2) waits for what is in the hardware.
func closeDevice(fd int) {
	letGo(fd)
	go func() {
		unlock(fd) // not before: who opens the port next sets it anew
		unix.Close(fd)
	}()
}

// ttyOf is the device that a descriptor was opened at, also when it has been unplugged since.
func ttyOf(fd int) string {
	name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return "the serial port"
	}
	return strings.TrimSuffix(name, " (deleted)")
}

// patience is how long a port may take to send what was written before a break.
const patience = 10 * time.Second

// sendBreak sends what was written, and then a break, for which it blocks. Two at the same time are one, which ends with the first. A port that
// does not send any more is an error, and gets no break.
func sendBreak(fd int, d time.Duration) error {
	err := drain(fd, patience)
	if err == nil {
		err = aside(fd, patience+d, func(fd int) error {
			if err := control(fd, unix.TIOCSBRK, 0); err != nil { // it waits for what was written meanwhile
				return err
			}
			<-time.After(d)
			return control(fd, unix.TIOCCBRK, 0)
		})
	}
	switch {
	case errors.Is(err, unix.EIO):
		return fmt.Errorf("%s: %w", ttyOf(fd), errUnplugged)
	case err != nil:
		return fmt.Errorf("no break was sent to %s: %w", ttyOf(fd), err)
	}
	return nil
}

// isSerial refuses what is no serial port before it is opened: that alone starts a watchdog, or rewinds a tape.
func isSerial(device string) error {
	info, err := os.Stat(device)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeCharDevice == 0 {
		return fmt.Errorf("%s is %s, not a serial port; correct the path", device, kind(info.Mode()))
	}
	var stat unix.Stat_t
	if err := unix.Stat(device, &stat); err != nil {
		return &fs.PathError{Op: "stat", Path: device, Err: err}
	}
	switch driver := ttyDriver(unix.Major(stat.Rdev), unix.Minor(stat.Rdev)); {
	case driver == "unknown":
		return nil // what it is shows when its settings are read
	case driver == "":
		return fmt.Errorf("%s is a device of another kind, not a serial port; correct the path, or load its driver", device)
	// The system's own are /dev/tty, /dev/console and the like, which stand for another device; 5:2 is /dev/ptmx.
	case driver == "console", driver == "pty:master", strings.HasPrefix(driver, "system:"), stat.Rdev == unix.Mkdev(5, 2):
		return fmt.Errorf("%s is a terminal of the system, not a serial port; correct the path", device)
	}
	return nil
}

// isPTY tells whether a port is the slave of a pseudo-terminal that stands for one.
func isPTY(fd int) bool {
	var stat unix.Stat_t
	return unix.Fstat(fd, &stat) == nil && ttyDriver(unix.Major(stat.Rdev), unix.Minor(stat.Rdev)) == "pty:slave"
}

// ttyDriver tells which type of terminal a device is, as proc(5) has it; "" if it is none.
func ttyDriver(major, minor uint32) string {
	table, err := os.Open("/proc/tty/drivers")
	if err != nil {
		return "unknown"
	}
	defer table.Close() //nolint:errcheck // nothing was written
	for lines := bufio.NewScanner(table); lines.Scan(); {
		// A name, which can have spaces; the device; its major number; the minor ones; the type.
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			continue
		}
		fields = fields[len(fields)-3:]
		low, high, isRange := strings.Cut(fields[1], "-")
		if !isRange {
			high = low
		}
		first, err1 := strconv.ParseUint(low, 10, 32)
		last, err2 := strconv.ParseUint(high, 10, 32)
		if err1 == nil && err2 == nil && fields[0] == strconv.FormatUint(uint64(major), 10) && first <= uint64(minor) && uint64(minor) <= last {
			return fields[2]
		}
	}
	return ""
}

// inUse says who has a device open.
func inUse(device string) error {
	switch pid := holderOf(device); pid {
	case 0:
		return fmt.Errorf("%s is in use by a program that is not visible from here (another user's, or one in a container); end it, or choose another port", device)
	case os.Getpid():
		return fmt.Errorf("%s is in use by another end of the hub itself, %s; give each end a port of its own", device, process(pid))
	default:
		return fmt.Errorf("%s is in use by %s; end that program, or choose another port", device, process(pid))
	}
}

// process names one for a person.
func process(pid int) string {
	if command := Identify(pid).Command; command != "" {
		return fmt.Sprintf("pid %d (%s)", pid, command)
	}
	return fmt.Sprintf("pid %d", pid)
}

// unopened adds to an error of open what a person can do about it.
func unopened(path string, err error) error {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("%s does not exist (%w); plug it in, or correct the path", path, err)
	case errors.Is(err, unix.EACCES):
		return denied(path, err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("the hub may use no such device as %s (%w); allow it to its service (DeviceAllow=) or container (--device)", path, err)
	case errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return fmt.Errorf("there is nothing behind %s (%w); plug it in, or load its driver", path, err)
	case errors.Is(err, unix.EIO) && strings.HasPrefix(path, "/dev/ttyS"):
		return fmt.Errorf("there is no such port in this machine as %s (%w); correct the path (dmesg has those that there are)", path, err)
	case errors.Is(err, unix.EIO):
		return fmt.Errorf("%s does not answer (%w); plug it in again", path, err)
	case errors.Is(err, unix.ENOTTY):
		return fmt.Errorf("%s is not a serial port (%w); correct the path", path, err)
	case strings.Contains(err.Error(), path):
		return err // it says all
	default:
		return fmt.Errorf("%s cannot be opened: %w", path, err) // which may name the device that path is a link to
	}
}

// denied says who may open a device, and how the hub becomes one of them.
func denied(path string, err error) error {
	var stat unix.Stat_t
	if unix.Stat(path, &stat) != nil {
		return fmt.Errorf("uid %d may not look into the folder of %s (%w); change its mode, or choose another path", os.Geteuid(), path, err)
	}
	const groupMay = 0o060
	if stat.Mode&groupMay != groupMay || stat.Gid == 0 {
		return fmt.Errorf("only %s may open %s, of mode %o (%w); give it a group by a rule of udev", userName(stat.Uid), path, stat.Mode&0o777, err)
	}
	group := strconv.FormatUint(uint64(stat.Gid), 10)
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return fmt.Errorf("%s may be opened by group %s (%w): add the hub's user to it, and start the hub again: usermod -aG %[2]s %[4]s",
		path, group, err, userName(uint32(os.Geteuid())))
}

// userName is the name of a user, or its number if it has none.
func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}
