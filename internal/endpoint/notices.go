package endpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// lookAgain is how often everybody is told without a reason when the kernel tells nothing.
const lookAgain = time.Second

// Notices tells when a file is opened, or appears, by inotify(7). One instance serves the whole hub: a user may have 128. All
// methods are safe to call from any goroutine; what is told is called on Run's, and must not block. It may be told once more while, on another
// goroutine, that is being ended.
type Notices struct {
	file *os.File // nil if the kernel has no instance left
	fd   int      // the same

	mu      sync.Mutex
	watches map[int32]map[*notice]struct{} // by watch descriptor
}

// notice is what somebody wants to be told.
type notice struct {
	name string // of an entry of the folder that is watched; "" for what is watched itself
	tell func()
}

// NewNotices makes an instance. With an error it can be used still, and tells everybody each second to look for themselves.
func NewNotices() (*Notices, error) {
	n := &Notices{fd: -1, watches: map[int32]map[*notice]struct{}{}}
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return n, fmt.Errorf("the kernel does not tell of files (%w); raise fs.inotify.max_user_instances", os.NewSyscallError("inotify_init1", err))
	}
	n.fd, n.file = fd, os.NewFile(uintptr(fd), "inotify")
	return n, nil
}

// Run tells until stop is closed, and closes the instance.
func (n *Notices) Run(stop <-chan struct{}) {
	if n.file == nil {
		n.tick(stop)
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-stop
		n.mu.Lock()
		defer n.mu.Unlock()
		n.fd = -1
		n.file.Close() //nolint:errcheck // it ends the read, and nothing was written
	}()
	buf := make([]byte, 64<<10)
	for {
		size, err := n.file.Read(buf)
		if err != nil {
			break // it is closed
		}
		n.read(buf[:size])
	}
	<-done
}

func (n *Notices) tick(stop <-chan struct{}) {
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			n.tellAll()
		}
	}
}

// read goes through events as struct inotify_event lays them out.
func (n *Notices) read(events []byte) {
	for len(events) >= unix.SizeofInotifyEvent {
		wd := int32(binary.NativeEndian.Uint32(events))
		mask := binary.NativeEndian.Uint32(events[4:])
		length := int(binary.NativeEndian.Uint32(events[12:]))
		name := strings.TrimRight(string(events[unix.SizeofInotifyEvent:unix.SizeofInotifyEvent+length]), "\x00")
		events = events[unix.SizeofInotifyEvent+length:]
		if mask&unix.IN_Q_OVERFLOW != 0 {
			n.tellAll()
			continue
		}
		for _, tell := range n.wanted(wd, mask, name) {
			tell()
		}
	}
}

// wanted finds who is to be told of an event.
func (n *Notices) wanted(wd int32, mask uint32, name string) (tell []func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for w := range n.watches[wd] {
		// What is watched may itself have gone; then the way to the file is another one.
		if w.name == name || mask&unix.IN_IGNORED != 0 {
			tell = append(tell, w.tell)
		}
	}
	if mask&unix.IN_IGNORED != 0 {
		delete(n.watches, wd)
	}
	return tell
}

func (n *Notices) tellAll() {
	n.mu.Lock()
	var tell []func()
	for _, watch := range n.watches {
		for w := range watch {
			tell = append(tell, w.tell)
		}
	}
	n.mu.Unlock()
	for _, one := range tell {
		one()
	}
}

// Opened has tell called whenever somebody has opened the file at path, which its errors do not name. The function that it returns ends that.
func (n *Notices) Opened(path string, tell func()) (forget func(), err error) {
	return n.add(path, unix.IN_OPEN, &notice{tell: tell})
}

// Appears has tell called when there may be a file at path that was not there, or another, or one of other permissions. The function that it returns
// ends that; who has been told calls it, and asks anew, because it was the nearest folder on the way to the file that was watched. The file may have
// come before this returns, so whoever asks looks for it afterwards.
func (n *Notices) Appears(path string, tell func()) (forget func(), err error) {
	for {
		folder, entry := nearest(path)
		forget, err := n.watchWay(folder, entry, tell)
		if errors.Is(err, unix.ENOENT) {
			continue // the folder has gone meanwhile
		}
		if again, _ := nearest(path); err != nil || again == folder {
			return forget, err
		}
		forget() // the next folder has come meanwhile
	}
}

// Sight is what stat(2) says of a file, as far as it matters to whoever would open it; zero if there is none.
type Sight struct {
	dev, ino       uint64
	mode, uid, gid uint32
	changed        unix.Timespec
}

// Look looks at the file at path. Two sights are the same if nothing has happened in between that Appears would have told of.
func Look(path string) Sight {
	var s unix.Stat_t
	if unix.Stat(path, &s) != nil {
		return Sight{}
	}
	return Sight{s.Dev, s.Ino, s.Mode, s.Uid, s.Gid, s.Ctim}
}

// wayEvents are those by which the way to a folder may become another one.
const wayEvents = unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_ONLYDIR

// watchWay watches for an entry of a folder, and for an end of the way to that folder.
func (n *Notices) watchWay(folder, entry string, tell func()) (forget func(), err error) {
	var forgets []func()
	forget = func() {
		for _, one := range forgets {
			one()
		}
	}
	var way []string
	for child := folder; child != "/"; child = filepath.Dir(child) {
		way = append(way, child)
	}
	// From the top down, so that whatever is moved away after it has been found is told of, and so is what takes its place: a link that is made to lead elsewhere
	// is only replaced.
	for _, child := range slices.Backward(way) {
		one, err := n.add(filepath.Dir(child), wayEvents, &notice{name: filepath.Base(child), tell: tell})
		switch {
		case err == nil:
			forgets = append(forgets, one)
		case !errors.Is(err, unix.EACCES): // a folder may let through whom it does not let look
			forget()
			return nil, fmt.Errorf("cannot watch %s: %w", filepath.Dir(child), err)
		}
	}
	one, err := n.add(folder, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_ATTRIB|unix.IN_ONLYDIR, &notice{name: entry, tell: tell})
	if err != nil {
		forget()
		return nil, fmt.Errorf("cannot watch %s: %w", folder, err)
	}
	forgets = append(forgets, one)
	return forget, nil
}

// nearest is the last folder on the way to path that there is, and its entry that comes next.
func nearest(path string) (folder, entry string) {
	folder, entry = filepath.Dir(path), filepath.Base(path)
	for folder != "/" {
		if info, err := os.Stat(folder); err == nil && info.IsDir() {
			break
		}
		folder, entry = filepath.Dir(folder), filepath.Base(folder)
	}
	return folder, entry
}

func (n *Notices) add(path string, mask uint32, w *notice) (forget func(), err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	wd := -1
	if n.fd >= 0 {
		if wd, err = unix.InotifyAddWatch(n.fd, path, mask|unix.IN_MASK_ADD); err != nil {
			err = os.NewSyscallError("inotify_add_watch", err) // whoever asks names the file
			if errors.Is(err, unix.ENOSPC) {
				err = fmt.Errorf("the kernel watches no more files for this user (%w); raise fs.inotify.max_user_watches", err)
			}
			return nil, err
		}
	}
	id := int32(wd)
	if n.watches[id] == nil {
		n.watches[id] = map[*notice]struct{}{}
	}
	n.watches[id][w] = struct{}{}
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.watches[id], w)
		if watch, there := n.watches[id]; there && len(watch) == 0 {
			delete(n.watches, id)
			if n.fd >= 0 {
				unix.InotifyRmWatch(n.fd, uint32(id)) //nolint:errcheck // what was watched may be gone, and the watch with it
			}
		}
	}, nil
}
