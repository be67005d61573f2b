package endpoint

import (
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Keeper notices when the file of a listener has been deleted or replaced, by a cleaner of /tmp for example.
// It looks at each folder's time of change, and at the files in it only if that has moved. All methods are safe to
// call from any goroutine.
type Keeper struct {
	interval time.Duration

	mu      sync.Mutex
	folders map[string]*folder
}

// folder is one in which there are socket files.
type folder struct {
	changed time.Time // as it was at the last look
	files   map[*keptFile]struct{}
}

type keptFile struct {
	path string
	id   fileID
	lost func()
}

// NewKeeper makes a Keeper that looks once in each interval.
func NewKeeper(interval time.Duration) *Keeper {
	return &Keeper{interval: interval, folders: map[string]*folder{}}
}

// Watch has lost called, once and without waiting, when the listener's file is no longer there. The function that it
// returns ends the watch; it is safe to call at any time, and more than once.
func (k *Keeper) Watch(l Listener, lost func()) (forget func()) {
	path, id := l.keptFile()
	if path == "" {
		return func() {}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	dir := filepath.Dir(path)
	if k.folders[dir] == nil {
		k.folders[dir] = &folder{files: map[*keptFile]struct{}{}}
	}
	k.folders[dir].changed = time.Time{} // the file may be gone already
	file := &keptFile{path: path, id: id, lost: lost}
	k.folders[dir].files[file] = struct{}{}
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.remove(dir, file)
	}
}

func (k *Keeper) remove(dir string, file *keptFile) {
	if f := k.folders[dir]; f != nil {
		delete(f.files, file)
		if len(f.files) == 0 {
			delete(k.folders, dir)
		}
	}
}

// Run looks at the files until stop is closed.
func (k *Keeper) Run(stop <-chan struct{}) {
	tick := time.NewTicker(k.interval)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			k.look(now)
		case <-stop:
			return
		}
	}
}

func (k *Keeper) look(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for dir, f := range k.folders {
		var stat unix.Stat_t
		err := unix.Stat(dir, &stat)
		changed := time.Unix(stat.Mtim.Unix())
		// The clock of a file system is coarse: a folder that has just changed may change again without its time moving.
		if err == nil && changed.Equal(f.changed) && now.Sub(changed) > 2*k.interval {
			continue
		}
		f.changed = changed
		for file := range f.files {
			if id, err := fileAt(file.path); err != nil || id != file.id {
				k.remove(dir, file)
				file.lost()
			}
		}
	}
}
