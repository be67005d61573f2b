package endpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The lock file of a serial port is a convention of UUCP's, by which minicom, mgetty and pppd keep apart. It is in the Filesystem
// Hierarchy Standard: LCK.. and the name of the device, with the pid of whoever uses it. Programs that know no such file, as
// picocom and pyserial, use flock(2), so the hub takes both. A pid of another PID namespace is not visible, and looks dead: there, flock(2) keeps apart.

// lockFile is where a device's lock file is, or "" if this machine has no folder for it.
func lockFile(device string) string {
	name := strings.ReplaceAll(strings.TrimPrefix(strings.TrimPrefix(device, "/dev"), "/"), "/", "_")
	for _, folder := range []string{"/var/lock", "/run/lock"} { // mostly one is a link to the other
		if info, err := os.Stat(folder); err == nil && info.IsDir() {
			return filepath.Join(folder, "LCK.."+name)
		}
	}
	return ""
}

// unwritten is how long a program may take from making its lock file until its pid is in it.
const unwritten = 10 * time.Second

// lockedBy reads the pid out of a lock file. It is 0 if there is none, or one that a dead process has left. It never blocks, whatever anybody has put there.
func lockedBy(file string) (int, error) {
	content, written, err := readLock(file)
	if err != nil {
		return 0, nil //nolint:nilerr // there is none; or one that is not to be read, then flock(2) must do
	}
	if pid := lockPID(content); pid > 0 {
		if errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			return 0, nil
		}
		return pid, nil
	}
	if time.Since(written) > unwritten {
		return 0, nil
	}
	return 0, fmt.Errorf("there is a lock file without a pid, %s; remove it if no program uses the port", file)
}

// readLock reads the beginning of a lock file. Everybody may write to the folder on some systems: opening a FIFO would block, and a file can be of any size.
func readLock(file string) (content []byte, written time.Time, err error) {
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is %s, not a lock file", file, kind(info.Mode()))
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	content, err = io.ReadAll(io.LimitReader(f, 64))
	return content, info.ModTime(), err
}

// lockPID is the pid in a lock file: ten digits, behind which some put their name; or four bytes in the machine's order, as UUCP's version 2 has it. What is
// neither is 0.
func lockPID(content []byte) int {
	if len(content) == 4 && bytes.IndexByte(content, 0) >= 0 { // no pid is so large that no byte is 0, and no text has one
		return int(int32(binary.NativeEndian.Uint32(content)))
	}
	fields := strings.Fields(string(content))
	if len(fields) == 0 {
		return 0
	}
	pid, err := strconv.ParseInt(fields[0], 10, 32)
	if err != nil {
		return 0
	}
	return int(pid)
}

// lockFree tells whether no other process has locked a device. One that the hub itself has locked is free here: flock(2) tells whether it
// is in use, or this pid was another's before.
func lockFree(device string) error {
	file := lockFile(device)
	pid, err := lockedBy(file)
	if err == nil && pid != 0 && pid != os.Getpid() {
		err = fmt.Errorf("%s is in use by %s, says %s; end that program, or choose another port", device, process(pid), file)
	}
	return err
}

// takeLock puts the hub's pid into a device's lock file. Whoever calls it has the flock(2) on the device, so no other hub does it at the same time.
// Where there is no folder for it, or one that cannot be written to, the port goes without.
func takeLock(device string) error {
	file := lockFile(device)
	if file == "" {
		return nil
	}
	for range 10 { // somebody else may take it between two steps
		if err := writeLock(file); !errors.Is(err, fs.ErrExist) {
			return nil
		}
		if err := lockFree(device); err != nil {
			return err
		}
		if err := unix.Unlink(file); err != nil && !errors.Is(err, unix.ENOENT) {
			return nil // another user's, in a folder with the sticky bit
		}
	}
	return fmt.Errorf("somebody else makes %s again and again", file)
}

// writeLock makes a lock file that is not there.
func writeLock(file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%10d\n", os.Getpid())
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil { // all may read it, whatever the umask
		unix.Unlink(file) //nolint:errcheck // it is left as stale
	}
	return err
}

// dropLock removes a device's lock file if it is the hub's, or that of a hub before this one, which is dead. Whoever calls it has the flock(2) on the
// device.
func dropLock(device string) {
	file := lockFile(device)
	if pid, err := lockedBy(file); err == nil && (pid == os.Getpid() || pid == 0) {
		unix.Unlink(file) //nolint:errcheck // it is left as stale
	}
}
