package reload_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"serialhub/internal/config"
	"serialhub/internal/events"
	"serialhub/internal/reload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// run runs an actor, and ends it with the test.
func run(t *testing.T, actor interface {
	Run() error
	Stop()
}) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- actor.Run() }()
	t.Cleanup(func() {
		actor.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// unannounced tells nobody of a reload.
func unannounced() func() { return func() {} }

func TestReloadAppliesWhatItLoads(t *testing.T) {
	loaded := &config.Config{Path: "/x"}
	var log strings.Builder
	r := reload.New(
		func() (*config.Config, error) { return loaded, nil },
		func(c *config.Config) (config.Changes, error) {
			if c != loaded {
				t.Errorf("applied %v", c)
			}
			return config.Changes{Added: []string{"x"}}, nil
		}, unannounced, nil, slog.New(slog.NewTextHandler(&log, nil)))
	if last := r.Last(); last.Err != nil || time.Since(last.At) > patience {
		t.Errorf("before the first reload, the last one is %+v", last)
	}
	started := r.LastSuccess()
	if started != r.Last().At {
		t.Errorf("before the first reload, the last success was at %v", started)
	}
	run(t, r)
	changes, err := r.Reload(t.Context())
	if err != nil || len(changes.Added) != 1 {
		t.Errorf("Reload gave %+v, %v", changes, err)
	}
	if at := r.LastSuccess(); at != r.Last().At || !at.After(started) {
		t.Errorf("the last success was at %v, and the start at %v", at, started)
	}
	if last := r.Last(); last.Err != nil || len(last.Changes.Added) != 1 {
		t.Errorf("the last one is %+v", last)
	}
}

func TestBadFileIsNotApplied(t *testing.T) {
	faults := &config.Faults{File: "/x", List: []config.Fault{{Message: "wrong", Line: 3}}}
	r := reload.New(
		func() (*config.Config, error) { return nil, faults },
		func(*config.Config) (config.Changes, error) {
			t.Error("a bad file was applied")
			return config.Changes{}, nil
		}, unannounced, nil, slog.New(slog.DiscardHandler))
	started := r.LastSuccess()
	run(t, r)
	if _, err := r.Reload(t.Context()); !errors.Is(err, faults) {
		t.Errorf("Reload gave %v", err)
	}
	if at := r.LastSuccess(); at != started || at.IsZero() {
		t.Errorf("the last success was at %v, and the start at %v", at, started)
	}
	if last := r.Last(); !errors.Is(last.Err, faults) {
		t.Errorf("the last one is %+v", last)
	}
}

// TestEachReloadIsPublished also if nothing was changed, and if nobody has waited for it.
func TestEachReloadIsPublished(t *testing.T) {
	faults := &config.Faults{File: "/x", List: []config.Fault{{Key: "links", Message: "wrong", Line: 3, Column: 1, Source: "links: 1"}, {Message: "bad"}}}
	outcomes := []error{nil, faults, errors.New("no such file"), nil}
	log := events.NewLog()
	reader := log.Now()
	next := 0
	r := reload.New(
		func() (*config.Config, error) { next++; return &config.Config{}, outcomes[next-1] },
		func(*config.Config) (config.Changes, error) {
			return config.Changes{Added: []string{"a"}, Removed: []string{"b"}, Changed: []string{"c"}, Unchanged: []string{"d"}}, nil
		}, unannounced, log, slog.New(slog.DiscardHandler))
	run(t, r)
	for i, outcome := range outcomes {
		if i%2 == 0 {
			r.Ask()
		} else {
			r.Reload(t.Context())
		}
		room := make([]*events.Entry, 2)
		taken, more, err := reader.Take(room)
		if more != nil {
			<-more
			taken, _, err = reader.Take(room)
		}
		if err != nil || len(taken) != 1 || taken[0].Type != events.Reload {
			t.Fatalf("after the reload %d: %v, %v", i, taken, err)
		}
		got, want := taken[0].Event, events.Event{At: taken[0].At, Type: events.Reload}
		switch {
		case outcome == nil:
			want.Changes = &events.Changes{Added: []string{"a"}, Removed: []string{"b"}, Changed: []string{"c"}, Unchanged: []string{"d"}}
		case errors.Is(outcome, faults):
			want.Message = faults.Error()
			want.Faults = []events.ConfigFault{{Key: "links", Message: "wrong", Line: 3, Column: 1, Source: "links: 1"}, {Message: "bad"}}
		default:
			want.Message, want.Faults = outcome.Error(), []events.ConfigFault{{Message: outcome.Error()}}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("the reload %d is told as %+v, want %+v", i, got, want)
		}
	}
}

// TestBurstIsOneReload asks many times while a reload is under way. That leads to one more, for all of them.
func TestBurstIsOneReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var loads atomic.Int32
		r := reload.New(
			func() (*config.Config, error) {
				loads.Add(1)
				time.Sleep(time.Second) //nolint:forbidigo // in the bubble's time
				return &config.Config{}, nil
			},
			func(*config.Config) (config.Changes, error) { return config.Changes{}, nil }, unannounced, nil, slog.New(slog.DiscardHandler))
		ended := make(chan error, 1)
		go func() { ended <- r.Run() }()
		r.Ask()
		synctest.Wait() // until it loads
		answers := make(chan error, 20)
		for range 20 {
			r.Ask()
			go func() {
				_, err := r.Reload(t.Context())
				answers <- err
			}()
		}
		for range 20 {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
		r.Stop()
		if err := <-ended; err != nil || loads.Load() != 2 {
			t.Errorf("%d loads for a reload and a burst (%v)", loads.Load(), err)
		}
	})
}

func TestReloadOfAStoppedHub(t *testing.T) {
	r := reload.New(nil, nil, unannounced, nil, slog.New(slog.DiscardHandler))
	r.Stop()
	r.Stop()
	if err := r.Run(); err != nil {
		t.Error(err)
	}
	if _, err := r.Reload(t.Context()); !errors.Is(err, reload.ErrStopping) {
		t.Errorf("Reload gave %v", err)
	}
}

// TestWatcher changes a file in all the ways in which files are changed.
func TestWatcher(t *testing.T) {
	write := func(t *testing.T, path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	do := func(t *testing.T, errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name    string
		prepare func(t *testing.T, dir, path string)
		change  func(t *testing.T, dir, path string)
		sees    bool
	}{
		{"written in place", nil, func(t *testing.T, _, path string) { write(t, path, "new") }, true},
		{"replaced by a rename", nil, func(t *testing.T, _, path string) {
			write(t, path+".swp", "new")
			do(t, os.Rename(path+".swp", path))
		}, true},
		{"deleted and written again", nil, func(t *testing.T, _, path string) {
			do(t, os.Remove(path))
			write(t, path, "new")
		}, true},
		{"a backup moved away first", nil, func(t *testing.T, _, path string) {
			do(t, os.Rename(path, path+"~"))
			write(t, path, "new")
		}, true},
		{"a link swapped, as Kubernetes does", func(t *testing.T, dir, path string) {
			do(t, os.MkdirAll(dir+"/..1", 0o700), os.MkdirAll(dir+"/..2", 0o700))
			write(t, dir+"/..1/links.yaml", "old")
			write(t, dir+"/..2/links.yaml", "new")
			do(t, os.Symlink("..1", dir+"/..data"), os.Remove(path), os.Symlink("..data/links.yaml", path))
		}, func(t *testing.T, dir, _ string) {
			do(t, os.Symlink("..2", dir+"/..tmp"), os.Rename(dir+"/..tmp", dir+"/..data"))
		}, true},
		{"the file behind a link written", func(t *testing.T, dir, path string) {
			do(t, os.Mkdir(dir+"/elsewhere", 0o700), os.Rename(path, dir+"/elsewhere/file"), os.Symlink("elsewhere/file", path))
		}, func(t *testing.T, dir, _ string) { write(t, dir+"/elsewhere/file", "new") }, true},
		{"its folder deleted and made again", nil, func(t *testing.T, dir, path string) {
			do(t, os.RemoveAll(dir))
			<-time.After(600 * time.Millisecond) // the watcher has seen that it is gone
			do(t, os.Mkdir(dir, 0o700))
			write(t, path, "new")
		}, true},
		{"touched", nil, func(t *testing.T, _, path string) { do(t, os.Chtimes(path, time.Now(), time.Now())) }, false},
		{"written with what it held", nil, func(t *testing.T, _, path string) { write(t, path, "old") }, false},
		{"another file written", nil, func(t *testing.T, _, path string) { write(t, path+"x", "new") }, false},
		{"deleted", nil, func(t *testing.T, _, path string) { do(t, os.Remove(path)) }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "links.yaml")
			write(t, path, "old")
			if test.prepare != nil {
				test.prepare(t, dir, path)
			}
			changed := make(chan struct{}, 10)
			w, err := reload.NewWatcher(path, func() { changed <- struct{}{} }, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			run(t, w)
			test.change(t, dir, path)
			wait := patience
			if !test.sees {
				wait = time.Second
			}
			select {
			case <-changed:
				if !test.sees {
					t.Error("a reload was asked for")
				}
			case <-time.After(wait):
				if test.sees {
					t.Error("the change was not seen")
				}
			}
		})
	}
}

// TestWatcherOfALinkedFolder swaps a symbolic link to the folder in which the file is.
func TestWatcherOfALinkedFolder(t *testing.T) {
	dir := t.TempDir()
	for _, version := range []string{"v1", "v2"} {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, version, "links.yaml"), []byte(version), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink("v1", dir+"/current"), os.Symlink("v2", dir+"/next")); err != nil {
		t.Fatal(err)
	}
	changed := make(chan struct{}, 10)
	w, err := reload.NewWatcher(filepath.Join(dir, "current", "links.yaml"), func() { changed <- struct{}{} }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	run(t, w)
	if err := os.Rename(dir+"/next", dir+"/current"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	case <-time.After(patience):
		t.Error("the change was not seen")
	}
}

func TestWatcherOfNoFolder(t *testing.T) {
	if _, err := reload.NewWatcher(filepath.Join(t.TempDir(), "none", "links.yaml"), nil, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a folder that is not there can be watched")
	}
}
