package transcript

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// daily is a file of some day.
type daily struct {
	path       string
	date       string
	stamp      string // when and why it was given another name; empty if it was not
	compressed bool
}

// compress gives files of days that are over to timberjack, as ones that are complete.
func (a *archive) compress(now time.Time) error {
	files, err := a.days()
	done := map[string]bool{}
	for _, f := range files {
		at, bad := time.Parse(time.DateOnly, f.date)
		if bad != nil || f.date >= date(now) || f.compressed || done[f.date] {
			continue
		}
		done[f.date] = true
		err = errors.Join(err, a.complete(a.name.on(at)))
	}
	return err
}

// complete has all files of a path compressed, and leaves none of that path itself.
func (a *archive) complete(path string) error {
	if a.config.Compress == "" || a.config.Compress == "none" {
		return removeEmpty(path)
	}
	r := a.newRotator(path)
	r.MaxBackups, r.MaxAge = 0, 0 // see remove
	err := removeEmpty(path)
	if err == nil {
		err = r.RotateWithReason("day")
	}
	err = errors.Join(err, r.Close()) // when it has compressed
	return errors.Join(err, removeEmpty(path))
}

// remove removes files that are too old, and the oldest of those that are too many.
func (a *archive) remove(live string, now time.Time) error {
	files, err := a.days()
	files = slices.DeleteFunc(files, func(f daily) bool { return f.path == live || f.date > date(now) })
	slices.SortFunc(files, func(f, g daily) int {
		return cmp.Or(strings.Compare(f.date, g.date), strings.Compare(f.order(), g.order()))
	})
	surplus := 0
	if a.config.Keep > 0 {
		surplus = max(0, len(files)-a.config.Keep)
	}
	for i, f := range files {
		old := a.config.MaxAge > 0 && f.date < date(now.Add(-a.config.MaxAge))
		if i >= surplus && !old {
			continue
		}
		if gone := os.Remove(f.path); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		if strings.Contains(filepath.Dir(a.name.path), anyDate) {
			os.Remove(filepath.Dir(f.path)) //nolint:errcheck // there may be something else in it
		}
	}
	return err
}

// order sorts the files of a day: the one that has kept its name is the last.
func (d daily) order() string { return cmp.Or(d.stamp, "~") }

// days lists the files of all days.
func (a *archive) days() ([]daily, error) {
	folders, err := filepath.Glob(a.name.folders())
	pattern := a.name.pattern()
	var found []daily
	for _, folder := range folders {
		entries, bad := os.ReadDir(folder)
		err = errors.Join(err, bad)
		for _, entry := range entries {
			path := filepath.Join(folder, entry.Name())
			if is := pattern.FindStringSubmatch(path); is != nil && entry.Type().IsRegular() {
				found = append(found, daily{path: path, date: is[1], stamp: is[2], compressed: is[3] != ""})
			}
		}
	}
	return found, err
}

// removeEmpty removes a file in which nothing is.
func removeEmpty(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (info.Size() > 0 || !info.Mode().IsRegular()) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Remove(path)
}
