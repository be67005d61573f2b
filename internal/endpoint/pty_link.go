package endpoint

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/address"
)

// ptyLink is the symbolic link by which a pseudo-terminal is found. All methods are safe to call from any goroutine. Only judge blocks, and holds no lock
// meanwhile.
type ptyLink struct {
	addr   address.Address
	target string // /dev/pts/N

	mu    sync.Mutex             // held while the link is made, changed or removed
	file  atomic.Pointer[fileID] // zero before place
	stale oldLink                // what judge has found to be in nobody's use
}

func newPTYLink(addr address.Address, target string, file fileID, stale oldLink) *ptyLink {
	k := &ptyLink{addr: addr, target: target, stale: stale}
	k.file.Store(&file)
	return k
}

// judge finds out whether place may replace what is in the way. It reads /proc, which can take its time.
func (k *ptyLink) judge() error {
	if isLink(k.addr.Path(), k.target, *k.file.Load()) {
		return nil
	}
	stale, err := staleLink(k.addr.Path(), k.target)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stale = stale
	return nil
}

// place makes the link, unless it is there. It replaces one that a killed program left behind; anything else that is in
// the way is left alone and named in the error. Whether a terminal that is there is in use, is for judge to say before.
func (k *ptyLink) place() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	path := k.addr.Path()
	if isLink(path, k.target, *k.file.Load()) {
		return nil
	}
	old, err := linkAt(path)
	if err == nil && old != k.stale && old != (oldLink{}) {
		var gone bool
		if gone, err = old.gone(k.target); err == nil && !gone {
			err = old.inUse(path, "another program")
		}
	}
	if err != nil {
		return err
	}
	// The link is made under another name first only if it replaces one, so that it never replaces what has just come.
	made := path
	if old != (oldLink{}) {
		made = filepath.Join(filepath.Dir(path), ".serialhub-"+rand.Text()[:10]) // whatever a hub that was killed left behind
	}
	if err := os.Symlink(k.target, made); err != nil {
		return describe(k.addr, unnamed("symlink", err))
	}
	file, err := fileAt(made)
	if err == nil && made != path {
		err = os.Rename(made, path)
	}
	if err != nil {
		if made != path {
			os.Remove(made) //nolint:errcheck // the first error is the one to report
		}
		return describe(k.addr, unnamed("rename", err))
	}
	k.file.Store(&file)
	return nil
}

// unnamed takes the names of files out of an error, which would be others at the next attempt: the same error is reported once.
func unnamed(call string, err error) error {
	var number unix.Errno
	if errors.As(err, &number) {
		return os.NewSyscallError(call, number)
	}
	return err
}

// touch makes the link younger again than the slave, whose mode has been changed, or than the process that has the master: see oldLink.inUseBy.
func (k *ptyLink) touch() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !isLink(k.addr.Path(), k.target, *k.file.Load()) {
		return nil
	}
	now := []unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_NOW}}
	return os.NewSyscallError("utimensat", unix.UtimesNanoAt(unix.AT_FDCWD, k.addr.Path(), now, unix.AT_SYMLINK_NOFOLLOW))
}

func (k *ptyLink) remove() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return removeLink(k.addr.Path(), k.target, *k.file.Load())
}

// kept is what a Keeper has to look for; the path is "" before the link has been made.
func (k *ptyLink) kept() (string, fileID) {
	file := *k.file.Load()
	if file == (fileID{}) {
		return "", fileID{}
	}
	return k.addr.Path(), file
}

// trace is what readTrace reads. It has no spaces. The path is in it because a master does not know by which link it is found.
func (k *ptyLink) trace() string {
	return k.file.Load().String() + ":" + url.QueryEscape(k.addr.Path())
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

// oldLink is a link to a terminal that is in the way; zero if there is none.
type oldLink struct {
	file   fileID
	target string // /dev/pts/N
	made   unix.Timespec
}

// linkAt looks at what is at a path. If that is anything but a link to a terminal, the error says what.
func linkAt(path string) (oldLink, error) {
	var stat unix.Stat_t
	switch err := unix.Lstat(path, &stat); {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return oldLink{}, nil // if the folder is missing, symlink will say so
	case err != nil:
		return oldLink{}, &os.PathError{Op: "lstat", Path: path, Err: err}
	case stat.Mode&unix.S_IFMT != unix.S_IFLNK:
		return oldLink{}, fmt.Errorf("%s is %s, not a link to a terminal, and is left alone; choose another path, or remove it", path, kindOf(stat))
	}
	target, err := os.Readlink(path)
	if err != nil {
		return oldLink{}, err
	}
	if !slavePath.MatchString(target) {
		return oldLink{}, fmt.Errorf("%s is a symbolic link to %s, not to a terminal, and is left alone; choose another path, or remove it", path, target)
	}
	return oldLink{file: newFileID(stat, unix.AT_FDCWD, path), target: target, made: stat.Mtim}, nil
}

// kindOf names what kind of file there is, for a person.
func kindOf(stat unix.Stat_t) string {
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return kind(fs.ModeDir)
	case unix.S_IFREG:
		return kind(0)
	default:
		return kind(fs.ModeIrregular)
	}
}

// staleLink tells which link at path may be replaced: one that leads to no terminal any more, or to one that has got its number since. If there is
// anything else that an end cannot have, the error says what. It reads /proc, which can take its time.
func staleLink(path, own string) (oldLink, error) {
	old, err := linkAt(path)
	if err != nil || old == (oldLink{}) {
		return oldLink{}, err
	}
	gone, err := old.gone(own)
	if err == nil && !gone {
		if owner := old.inUseBy(); owner != "" {
			err = old.inUse(path, owner)
		}
	}
	if err != nil {
		return oldLink{}, err
	}
	return old, nil
}

// gone tells whether the terminal that the link was made for is there no more: there is none, or it is the hub's own.
func (o oldLink) gone(own string) (bool, error) {
	if o.target == own {
		return true, nil // the hub has the master, so whoever made the link has it no more
	}
	var slave unix.Stat_t
	switch err := unix.Stat(o.target, &slave); {
	case errors.Is(err, unix.ENOENT):
		return true, nil
	case err != nil:
		return false, &os.PathError{Op: "stat", Path: o.target, Err: err}
	}
	return false, nil
}

// startError is how long after a link the process that has made it can seem to have started, because the clock has been adjusted, or because it has forked since.
const startError = time.Second

// inUseBy names who has the terminal, if it is the one that the link was made for; "" if its number has been used again since. Who has the master tells: the
// link is of one who was there before it. If that is not visible, or cannot be, because the terminal is older than the process (it was handed on, or the clock
// was set), the times of the slave tell.
func (o oldLink) inUseBy() string {
	var slave unix.Stat_t
	if unix.Stat(o.target, &slave) != nil {
		return ""
	}
	made, born := time.Unix(o.made.Unix()), bornBefore(slave)
	pid, started := masterOwner(strings.TrimPrefix(o.target, "/dev/pts/"))
	used := born.Sub(made) <= clockError
	if pid != 0 && !started.IsZero() && born.After(started.Add(-startError)) {
		used = started.Sub(made) <= startError
	}
	switch {
	case !used:
		return ""
	case pid == 0:
		return "a program that is not visible from here (another user's, or one in a container)"
	default:
		return process(pid)
	}
}

// inUse is the error of a link that is another's.
func (o oldLink) inUse(path, owner string) error {
	return fmt.Errorf("%s leads to %s, which is in use by %s; end that program, or remove the link if it is not that program's, or choose another path",
		path, o.target, owner)
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
