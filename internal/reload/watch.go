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
			w.look()
		}
	}
}

// Stop makes Run end. It does not wait, and may be called more than once.
func (w *Watcher) Stop() { w.stop() }

// look asks for a reload if the content is another one. A file that is not there for the moment is waited for.
func (w *Watcher) look() {
	if err := w.follow(); err != nil {
		w.log.Warn("the config's folder cannot be watched", "file", w.path, "error", err)
	}
	content, err := w.content()
	if err != nil || content == w.seen {
		return
	}
	w.seen = content
	w.log.Info("the config has changed", "file", w.path)
	w.changed()
}

// follow watches the folder of the path and, if it is a symbolic link, that of the file behind it.
func (w *Watcher) follow() error {
	folders := []string{filepath.Dir(w.path)}
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
