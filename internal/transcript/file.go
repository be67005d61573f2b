package transcript

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"serialhub/internal/watch"
)

// Who else may read transcripts is for the folder and the umask to say.
const (
	folderMode = 0o750
	fileMode   = 0o640
)

// regular returns an error, which says what a path is, unless that is a regular file.
func regular(path string, mode fs.FileMode) error {
	if mode.IsRegular() {
		return nil
	}
	kind := "something else"
	switch {
	case mode.IsDir():
		kind = "a folder"
	case mode&fs.ModeSymlink != 0:
		kind = "a symbolic link"
	case mode&fs.ModeNamedPipe != 0:
		kind = "a FIFO"
	case mode&fs.ModeSocket != 0:
		kind = "a socket"
	case mode&fs.ModeDevice != 0:
		kind = "a device"
	}
	err := fmt.Errorf("it is %s, and a transcript is written to a regular file only; name another one", kind)
	return &fs.PathError{Op: "open", Path: path, Err: err}
}

// openFile opens a file to append to, and makes it and its folder if they are missing. It never blocks, and follows no symbolic link in place of the
// file. Appending is left to the kernel, so that the file may be cut short by others.
func openFile(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), folderMode); err != nil {
		return nil, err
	}
	// Looked at first, because opening a device may already do something to it.
	if info, err := os.Lstat(path); err == nil {
		if err := regular(path, info.Mode()); err != nil {
			return nil, err
		}
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, fileMode)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil {
		err = regular(path, info.Mode())
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// mostUnmarked is more than what one call of Next has given ever makes in a file.
const mostUnmarked = 1 << 20

// takeBack takes out of a file what an earlier process has written and could not mark, because it was killed. Nothing else is ever cut off a file: what
// is in it may be all that somebody has.
func takeBack(file *os.File, marked watch.Written) error {
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		return &os.PathError{Op: "fstat", Path: file.Name(), Err: err}
	}
	size := uint64(stat.Size)
	if stat.Dev != marked.Device || stat.Ino != marked.Inode || size <= marked.Size || size > marked.Size+mostUnmarked {
		return nil
	}
	return file.Truncate(int64(marked.Size))
}
