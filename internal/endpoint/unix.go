// Package endpoint is where peers come from: it opens the addresses of a link's ends.
package endpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"serialhub/internal/address"
)

// backlog is how many peers may have connected before the hub takes them. With a full backlog connect(2) blocks,
// and a VM hangs before it starts. The kernel caps it at net.core.somaxconn.
const backlog = 128

// ErrNoPeer says that nobody is waiting to be accepted.
var ErrNoPeer = errors.New("nobody is waiting to be accepted")

// Socket says where to listen, and what its file shall look like.
type Socket struct {
	Address      address.Address
	Mode         uint32 // permission bits of the file
	Owner, Group string // of the file, each a name or a number; "" for the hub's own
}

// Listener accepts the peers of one end on a unix stream socket. It owns the descriptor and the socket's file.
// It is not safe for use by several goroutines at once.
type Listener struct {
	fd      int
	addr    address.Address
	file    fileID // zero for an abstract socket
	foreign bool   // somebody else has bound it, and the file is theirs
}

// path is where the socket's file is, if it is the Listener's own.
func (l *Listener) path() string {
	if l.foreign {
		return ""
	}
	return l.addr.Path()
}

// fileID tells one file from another that was put in its place.
type fileID struct{ dev, ino uint64 }

// Bind makes the socket and its file; nobody can connect before Listen. It takes over the file of a socket whose owner is dead;
// anything else that is in the way is left alone and named in the error.
func Bind(s Socket) (*Listener, error) {
	uid, gid, err := owners(s)
	if err != nil {
		return nil, err
	}
	if path := s.Address.Path(); path != "" {
		if err := makeWay(path); err != nil {
			return nil, err
		}
	}
	l := &Listener{addr: s.Address}
	l.fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := l.bind(s.Mode, uid, gid); err != nil {
		l.Close() //nolint:errcheck // the first error is the one to report
		return nil, describe(s.Address, err)
	}
	return l, nil
}

// bind makes the file, and gives it its owner and mode. It is never open to more than it shall be.
func (l *Listener) bind(mode uint32, uid, gid int) error {
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

// Listen lets peers connect from now on.
func (l *Listener) Listen() error {
	return os.NewSyscallError("listen", unix.Listen(l.fd, backlog))
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
	return fd, fileID{dev: stat.Dev, ino: stat.Ino}, nil
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

// SetFile gives the socket's file another mode and other owners; whoever is connected stays. It is safe to call while
// another goroutine accepts.
func (l *Listener) SetFile(s Socket) error {
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

// FD is the listening descriptor, to be polled; it stays the Listener's.
func (l *Listener) FD() int { return l.fd }

// Accept takes the next peer that has connected. It never blocks: without one it returns ErrNoPeer.
func (l *Listener) Accept() (Peer, error) {
	for {
		fd, _, err := unix.Accept4(l.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED):
			continue
		case errors.Is(err, unix.EAGAIN):
			return Peer{}, ErrNoPeer
		case err != nil:
			return Peer{}, fmt.Errorf("%s: %w", l.addr, os.NewSyscallError("accept", err))
		}
		// A byte that is sent out of band (MSG_OOB) would be counted by SIOCINQ and never read.
		err = os.NewSyscallError("setsockopt SO_OOBINLINE", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_OOBINLINE, 1))
		var cred Credentials
		if err == nil {
			cred, err = credentials(fd)
		}
		if err != nil {
			unix.Close(fd) // a socket that has carried nothing
			return Peer{}, fmt.Errorf("%s: %w", l.addr, err)
		}
		return Peer{FD: fd, Credentials: cred}, nil
	}
}

// Close stops listening and removes the socket's file, unless another has taken its place.
func (l *Listener) Close() error {
	var errs []error
	if path := l.path(); path != "" && l.file != (fileID{}) {
		if now, err := fileAt(path); err == nil && now == l.file {
			errs = append(errs, os.Remove(path))
		}
	}
	errs = append(errs, os.NewSyscallError("close", unix.Close(l.fd)))
	return errors.Join(errs...)
}

func fileAt(path string) (fileID, error) {
	var stat unix.Stat_t
	if err := unix.Lstat(path, &stat); err != nil {
		return fileID{}, &os.PathError{Op: "lstat", Path: path, Err: err}
	}
	return fileID{dev: stat.Dev, ino: stat.Ino}, nil
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
	alive, err := hasOwner(path)
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
		return fmt.Errorf("uid %d may not make a socket in %s (%w); change its owner or mode, or choose another folder", os.Geteuid(), folder, err)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%s is on a read-only file system (%w); choose another folder", folder, err)
	default:
		return fmt.Errorf("%s: %w", addr, err)
	}
}
