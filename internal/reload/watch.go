package reload

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// returnTime is how often a file that is not there is looked for.
const returnTime = time.Second

// settleTime is how long a file has to be left alone before it is read: editors write in several steps.
const settleTime = 200 * time.Millisecond

// Watcher asks for a reload when the content of a file changes, in whatever way: written in place, replaced by a
// rename, or behind a symbolic link that is swapped, as Kubernetes does. It watches folders, because a watch on a file
// ends when the file is replaced.
type Watcher struct {
	path    string
	changed func()
	log     *slog.Logger
	notify  *fsnotify.Watcher
	seen    [sha256.Size]byte // of the content that is known
	stop    func()
	quit    chan struct{}
}

// NewWatcher watches the file at path, which is absolute, and calls changed when its content does.
func NewWatcher(path string, changed func(), log *slog.Logger) (*Watcher, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("cannot watch %s: %w", path, err)
	}
	w := &Watcher{path: path, changed: changed, log: log, notify: notify, quit: make(chan struct{})}
	w.stop = sync.OnceFunc(func() { close(w.quit) })
	if err := w.follow(); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot watch %s: %w", path, err), notify.Close())
	}
	w.seen, _ = w.content()
	return w, nil
}

// Run watches until Stop. It returns nil, or an error if the kernel's watch ends.
func (w *Watcher) Run() error {
	defer w.notify.Close() //nolint:errcheck // nothing depends on it any more
	var settled <-chan time.Time
	for {
		select {
		case <-w.quit:
			return nil
		case _, ok := <-w.notify.Events:
			if !ok {
				return fmt.Errorf("the watch of %s has ended", w.path)
			}
			settled = time.After(settleTime)
		case err := <-w.notify.Errors:
			w.log.Warn("a change of the config may have been missed", "file", w.path, "error", err)
			settled = time.After(settleTime)
		case <-settled:
			settled = nil
			if !w.look() {
				settled = time.After(returnTime)
			}
		}
	}
}

// Stop makes Run end. It does not wait, and may be called more than once.
func (w *Watcher) Stop() { w.stop() }

// look asks for a reload if the content is another one. It returns false if the file is not there, or its folder cannot
// be watched: then it has to be called again, because nothing else may tell when that changes.
func (w *Watcher) look() bool {
	followed := w.follow()
	content, err := w.content()
	if err == nil && content != w.seen {
		w.seen = content
		w.log.Info("the config has changed", "file", w.path)
		w.changed()
	}
	return followed == nil && err == nil
}

// follow watches the folder of the path and, if one of them is a symbolic link, what is behind it and where it is.
func (w *Watcher) follow() error {
	folders := []string{filepath.Dir(w.path)}
	if info, err := os.Lstat(folders[0]); err == nil && info.Mode()&os.ModeSymlink != 0 {
		folders = append(folders, filepath.Dir(folders[0])) // where the link to the folder can be swapped
	}
	if target, err := filepath.EvalSymlinks(w.path); err == nil {
		folders = append(folders, filepath.Dir(target))
	}
	var errs []error
	for _, folder := range folders {
		errs = append(errs, w.notify.Add(folder)) // adding one twice changes nothing
	}
	return errors.Join(errs...)
}

func (w *Watcher) content() (sum [sha256.Size]byte, err error) {
	file, err := os.Open(w.path)
	if err != nil {
		return sum, err
	}
	defer file.Close() //nolint:errcheck // nothing was written
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(hash.Sum(nil)), nil
}
