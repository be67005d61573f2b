package endpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/address"
)

// ptyLink is the symbolic link by which a pseudo-terminal is found. All methods are safe to call from any goroutine.
type ptyLink struct {
	addr   address.Address
	target string // /dev/pts/N

	mu   sync.Mutex
	file fileID // zero before place
}

// place makes the link, unless it is there. It replaces one that a killed program left behind; anything else that is in
// the way is left alone and named in the error.
func (k *ptyLink) place() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	path := k.addr.Path()
	if isLink(path, k.target, k.file) {
		return nil
	}
	stale, err := inTheWay(path, k.target)
	if err != nil {
		return err
	}
	// The link is made under another name first only if it replaces one, so that it never replaces what has just come.
	made := path
	if stale {
		made = fmt.Sprintf("%s.%d-%s", path, os.Getpid(), filepath.Base(k.target))
	}
	if err := os.Symlink(k.target, made); err != nil {
		return describe(k.addr, err)
	}
	file, err := fileAt(made)
	if err == nil && stale {
		if err = os.Rename(made, path); err != nil {
			os.Remove(made) //nolint:errcheck // the first error is the one to report
		}
	}
	if err != nil {
		return describe(k.addr, err)
	}
	k.file = file
	return nil
}

// touch makes the link younger than the slave again, whose mode has been changed: see inTheWay.
func (k *ptyLink) touch() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !isLink(k.addr.Path(), k.target, k.file) {
		return nil
	}
	now := []unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_NOW}}
	return os.NewSyscallError("utimensat", unix.UtimesNanoAt(unix.AT_FDCWD, k.addr.Path(), now, unix.AT_SYMLINK_NOFOLLOW))
}

func (k *ptyLink) remove() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return removeLink(k.addr.Path(), k.target, k.file)
}

// kept is what a Keeper has to look for; the path is "" before the link has been made.
func (k *ptyLink) kept() (string, fileID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.file == (fileID{}) {
		return "", fileID{}
	}
	return k.addr.Path(), k.file
}

// trace is what readTrace reads. It has no spaces. The path is in it because a master does not know by which link it is found.
func (k *ptyLink) trace() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.file.String() + ":" + url.QueryEscape(k.addr.Path())
}

// readTrace tells where the link is, and which file it is; that is zero if there is another one by now.
func readTrace(trace string) (path string, file fileID) {
	parts := strings.SplitN(trace, ":", 3)
	if len(parts) != 3 {
		return "", fileID{}
	}
	path, err := url.QueryUnescape(parts[2])
	if err != nil {
		return "", fileID{}
	}
	file, err = fileAt(path)
	if err != nil || file.String() != parts[0]+":"+parts[1] {
		return path, fileID{}
	}
	return path, file
}

// isLink tells whether it is that link which is at path, and still leads there.
func isLink(path, target string, file fileID) bool {
	if now, err := fileAt(path); err != nil || now != file {
		return false
	}
	to, err := os.Readlink(path)
	return err == nil && to == target
}

// removeLink removes the link at path, if it is that one.
func removeLink(path, target string, file fileID) error {
	if !isLink(path, target, file) {
		return nil
	}
	return os.Remove(path)
}

var slavePath = regexp.MustCompile(`^/dev/pts/([0-9]+)$`)

// clockError is how much younger than a link its terminal can seem, because not every file system keeps fractions of a second.
const clockError = 2 * time.Second

// inTheWay tells whether there is a link at path that leads to no terminal any more, or to one that has got its number since, such as the hub's own. If
// there is anything else that an end cannot have, the error says what.
func inTheWay(path, own string) (stale bool, err error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil // if the folder is missing, symlink will say so
	case errors.Is(err, unix.ENOTDIR):
		return false, nil // likewise
	case err != nil:
		return false, err
	case info.Mode()&fs.ModeSymlink == 0:
		return false, fmt.Errorf("%s is %s, not a link to a terminal, and is left alone; choose another path, or remove it", path, kind(info.Mode()))
	}
	target, err := os.Readlink(path)
	if err != nil {
		return false, err
	}
	match := slavePath.FindStringSubmatch(target)
	if match == nil {
		return false, fmt.Errorf("%s is a symbolic link to %s, not to a terminal, and is left alone; choose another path, or remove it", path, target)
	}
	if target == own {
		return true, nil // the hub has the master, so whoever made the link has it no more
	}
	var slave unix.Stat_t
	switch err := unix.Stat(target, &slave); {
	case errors.Is(err, unix.ENOENT):
		return true, nil
	case err != nil:
		return false, &os.PathError{Op: "stat", Path: target, Err: err}
	}
	if bornBefore(slave).Sub(info.ModTime()) > clockError {
		return true, nil
	}
	return false, fmt.Errorf("%s leads to %s, which is in use by %s; end that program, or remove the link if it is not that program's, or choose another path",
		path, target, masterOwner(match[1]))
}

// bornBefore is the earliest of a terminal's times. Devpts keeps no time of birth, but all three begin with it. A chmod(2) moves the first of them, a write
// the second and a read the third.
func bornBefore(slave unix.Stat_t) time.Time {
	born := time.Unix(slave.Ctim.Unix())
	for _, other := range []time.Time{time.Unix(slave.Mtim.Unix()), time.Unix(slave.Atim.Unix())} {
		if other.Before(born) {
			born = other
		}
	}
	return born
}
