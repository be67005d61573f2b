package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"serialhub/internal/address"
)

// unixListener accepts the peers of one end on a unix stream socket.
type unixListener struct {
	socket
	addr address.Address
	file fileID // zero for an abstract socket, and for one whose file is somebody else's
}

// path is where the socket's file is, if it is the Listener's own.
func (l *unixListener) path() string {
	if l.foreign {
		return ""
	}
	return l.addr.Path()
}

// fileID tells one file from another that was put in its place. The number alone would not do: file systems use that of a deleted file again, often at once.
type fileID struct {
	dev, ino uint64
	kind     uint32              // S_IFMT
	born     unix.StatxTimestamp // zero where the file system does not keep it
}

func newFileID(stat unix.Stat_t, dir int, name string) fileID {
	id := fileID{dev: stat.Dev, ino: stat.Ino, kind: stat.Mode & unix.S_IFMT}
	var more unix.Statx_t
	err := unix.Statx(dir, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH, unix.STATX_BTIME, &more)
	if err == nil && more.Mask&unix.STATX_BTIME != 0 {
		id.born = more.Btime
	}
	return id
}

// bindUnix makes the socket and its file. It takes over the file of a socket whose owner is dead;
// anything else that is in the way is left alone and named in the error.
func bindUnix(s Spec) (Listener, error) {
	uid, gid, err := owners(s)
	if err != nil {
		return nil, err
	}
	if path := s.Address.Path(); path != "" {
		if err := makeWay(path); err != nil {
			return nil, err
		}
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	l := newUnixListener(fd, s)
	if err := l.bind(s.Mode, uid, gid); err != nil {
		l.Close() //nolint:errcheck // the first error is the one to report
		return nil, describe(s.Address, err)
	}
	return l, nil
}

func newUnixListener(fd int, s Spec) *unixListener {
	via := s.Via()
	return &unixListener{addr: s.Address, socket: socket{fd: fd, name: s.Address.String(), admit: func(fd int, _ unix.Sockaddr) (Peer, error) {
		return localPeer(fd, via)
	}}}
}

// bind makes the file, and gives it its owner and mode. It is never open to more than it shall be.
func (l *unixListener) bind(mode uint32, uid, gid int) error {
	// bind(2) takes the mode of the file that it makes from the socket's inode, less the umask.
	if err := unix.Fchmod(l.fd, 0o600&mode); err != nil {
		return os.NewSyscallError("fchmod", err)
	}
	if err := unix.Bind(l.fd, &unix.SockaddrUnix{Name: l.addr.SocketName()}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if path := l.addr.Path(); path != "" {
		fd, id, err := openSocket(path)
		if err != nil {
			return err
		}
		defer unix.Close(fd) // an O_PATH descriptor
		l.file = id
		return dress(fd, path, mode, uid, gid)
	}
	return nil
}

// openSocket opens the file of a socket, not what a link in its place may lead to, and tells which file it is.
func openSocket(path string) (fd int, id fileID, err error) {
	fd, err = unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fileID{}, &os.PathError{Op: "open", Path: path, Err: err}
	}
	var stat unix.Stat_t
	err = unix.Fstat(fd, &stat)
	if err == nil && stat.Mode&unix.S_IFMT != unix.S_IFSOCK {
		err = errors.New("it has been replaced by something that is not a socket")
	}
	if err != nil {
		unix.Close(fd) // an O_PATH descriptor
		return -1, fileID{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return fd, newFileID(stat, fd, ""), nil
}

// dress sets the owner and the mode of a socket's file.
func dress(fd int, path string, mode uint32, uid, gid int) error {
	if uid >= 0 || gid >= 0 {
		if err := unix.Fchownat(fd, "", uid, gid, unix.AT_EMPTY_PATH); err != nil {
			return fmt.Errorf("uid %d may not give %s to uid %d, gid %d (%w); run the hub as root, or as a member of that group", os.Geteuid(), path, uid, gid, err)
		}
	}
	// chmod(2) refuses an O_PATH descriptor itself, but not its name in /proc.
	if err := unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), mode); err != nil {
		return &os.PathError{Op: "chmod", Path: path, Err: err}
	}
	return nil
}

// Adjust gives the socket's file another mode and other owners.
func (l *unixListener) Adjust(s Spec) error {
	path := l.path()
	if path == "" {
		return nil
	}
	uid, gid, err := owners(s)
	if err != nil {
		return err
	}
	if s.Owner == "" {
		uid = os.Geteuid()
	}
	if s.Group == "" {
		gid = os.Getegid()
	}
	fd, id, err := openSocket(path)
	if err != nil {
		return err
	}
	defer unix.Close(fd) // an O_PATH descriptor
	if id != l.file {
		return fmt.Errorf("%s is not the hub's any more", path)
	}
	return dress(fd, path, s.Mode, uid, gid)
}

// Close stops listening and removes the socket's file, unless another has taken its place.
func (l *unixListener) Close() error {
	var err error
	if path := l.path(); path != "" {
		err = removeFile(path, l.file)
	}
	return errors.Join(err, l.socket.Close())
}

func (l *unixListener) keptFile() (string, fileID) { return l.path(), l.file }

// removeFile removes the file at path, if it is that one.
func removeFile(path string, file fileID) error {
	if now, err := fileAt(path); err != nil || file == (fileID{}) || now != file {
		return nil //nolint:nilerr // there is nothing to remove
	}
	return os.Remove(path)
}

func fileAt(path string) (fileID, error) {
	var stat unix.Stat_t
	if err := unix.Lstat(path, &stat); err != nil {
		return fileID{}, &os.PathError{Op: "lstat", Path: path, Err: err}
	}
	return newFileID(stat, unix.AT_FDCWD, path), nil
}

// makeWay removes the file of a socket whose owner is dead, and says what is there otherwise.
func makeWay(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // if the folder is missing, bind will say so
	case err != nil:
		return err
	case info.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("%s is %s, not a socket, and is left alone; choose another path, or remove it", path, kind(info.Mode()))
	}
	alive, err := HasOwner(path)
	if err != nil {
		return err
	}
	if alive {
		return fmt.Errorf("%s is in use by %s; end that program, or choose another path", path, ownerOf(path))
	}
	return os.Remove(path)
}

func kind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a folder"
	case mode.IsRegular():
		return "a file"
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	default:
		return "a special file"
	}
}

// describe adds to an error of bind what a person can do about it.
func describe(addr address.Address, err error) error {
	folder := filepath.Dir(addr.Path())
	switch {
	case addr.Path() == "" && errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%s is in use by another program (%w); end it, or choose another name", addr, err)
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("the folder %s does not exist (%w); make it: mkdir -p %s", folder, err, folder)
	case errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("%s is not a folder (%w); choose another path", folder, err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("uid %d may not make a file in %s (%w); change its owner or mode, or choose another folder", os.Geteuid(), folder, err)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%s is on a read-only file system (%w); choose another folder", folder, err)
	default:
		return fmt.Errorf("%s: %w", addr, err)
	}
}

// dialUnix connects to a program that listens.
func dialUnix(ctx context.Context, s Spec) (Peer, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return Peer{}, os.NewSyscallError("socket", err)
	}
	p, err := Peer{}, connect(ctx, fd, &unix.SockaddrUnix{Name: s.Address.SocketName()})
	if err == nil {
		p, err = localPeer(fd, s.Via())
	}
	if err != nil {
		unix.Close(fd) // it is not connected
		return Peer{}, undialled(s.Address, err)
	}
	return p, nil
}

// undialled adds to an error of connect what a person can do about it.
func undialled(addr address.Address, err error) error {
	switch {
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%s does not exist (%w); start the VM that listens there, or correct the path", addr, err)
	case errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("nobody listens at %s (%w); start the VM or the program that does", addr, err)
	case errors.Is(err, unix.EAGAIN):
		return fmt.Errorf("%s has too many connections waiting to be accepted; whoever listens there may be stuck, or serve another one", addr)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("uid %d may not connect to %s (%w); change the mode of the socket or of its folder, or add the hub's user to the group of the socket", os.Geteuid(), addr, err)
	case errors.Is(err, unix.EPROTOTYPE):
		return fmt.Errorf("%s is not a stream socket (%w); correct the path", addr, err)
	default:
		return fmt.Errorf("cannot connect to %s: %w", addr, err)
	}
}
