package endpoint_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"serialhub/internal/endpoint"
	"serialhub/internal/testenv"
)

// runNotices has notices told as long as the test runs.
func runNotices(t *testing.T) *endpoint.Notices {
	t.Helper()
	n, err := endpoint.NewNotices()
	if err != nil {
		t.Fatal(err)
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() { defer close(ended); n.Run(stop) }()
	t.Cleanup(func() { close(stop); <-ended })
	return n
}

// told is a channel with room, and what writes to it.
func told() (heard chan struct{}, tell func()) {
	heard = make(chan struct{}, 1000)
	return heard, func() { heard <- struct{}{} }
}

func mustHear(t *testing.T, heard chan struct{}, what string) {
	t.Helper()
	select {
	case <-heard:
	case <-time.After(patience):
		t.Fatalf("%s was not told", what)
	}
}

// silent checks that nothing is told before something that is told for sure.
func silent(t *testing.T, n *endpoint.Notices, heard chan struct{}) {
	t.Helper()
	path := filepath.Join(testenv.Dir(t), "marker")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	marker, tell := told()
	forget, err := n.Opened(path, tell)
	if err != nil {
		t.Fatal(err)
	}
	defer forget()
	os.ReadFile(path)
	mustHear(t, marker, "the marker")
	if len(heard) > 0 {
		t.Errorf("%d notices too many", len(heard))
	}
}

func TestNoticesOpened(t *testing.T) {
	testenv.NoDescriptorsLeft(t)
	n := runNotices(t)
	path := filepath.Join(testenv.Dir(t), "f")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	heard, tell := told()
	forget, err := n.Opened(path, tell)
	if err != nil {
		t.Fatal(err)
	}
	second, tellSecond := told()
	forgetSecond, err := n.Opened(path, tellSecond)
	if err != nil {
		t.Fatal(err)
	}
	os.Stat(path)
	silent(t, n, heard)
	os.ReadFile(path)
	mustHear(t, heard, "the opening")
	mustHear(t, second, "the opening, to the second,")
	forgetSecond()
	os.ReadFile(path)
	mustHear(t, heard, "the opening")
	silent(t, n, second)
	forget()
	forget()
	os.ReadFile(path)
	silent(t, n, heard)
	forget, err = n.Opened(path, tell)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(path)
	mustHear(t, heard, "the end of the file")
	forget()
	if _, err := n.Opened(path, tell); err == nil {
		t.Error("a file that is not there can be watched")
	}
}

// TestNoticesAppears has files come in every way. Who is told looks, and asks anew if there is nothing.
func TestNoticesAppears(t *testing.T) {
	tests := []struct {
		name string
		make func(t *testing.T, dir string) // makes dir/a/b/f
	}{
		{"at once", func(t *testing.T, dir string) { mkfile(t, filepath.Join(dir, "a/b/f")) }},
		{"in a folder that is moved there", func(t *testing.T, dir string) {
			mkfile(t, filepath.Join(dir, "x/b/f"))
			os.Rename(filepath.Join(dir, "x"), filepath.Join(dir, "a"))
		}},
		{"by a link", func(t *testing.T, dir string) {
			os.MkdirAll(filepath.Join(dir, "a/b"), 0o700)
			os.Symlink("/dev/null", filepath.Join(dir, "a/b/f"))
		}},
		{"after its folder came and went", func(t *testing.T, dir string) {
			for range 50 {
				os.MkdirAll(filepath.Join(dir, "a/b"), 0o700)
				os.RemoveAll(filepath.Join(dir, "a"))
			}
			mkfile(t, filepath.Join(dir, "a/b/f"))
		}},
		{"after its folder was moved away", func(t *testing.T, dir string) {
			os.MkdirAll(filepath.Join(dir, "a/b"), 0o700)
			os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "x"))
			mkfile(t, filepath.Join(dir, "a/b/f"))
		}},
		{"beside others", func(t *testing.T, dir string) {
			for i := range 200 {
				mkfile(t, filepath.Join(dir, fmt.Sprintf("a/b/x%d", i)))
			}
			mkfile(t, filepath.Join(dir, "a/b/f"))
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			testenv.NoDescriptorsLeft(t)
			n := runNotices(t)
			dir := testenv.Dir(t)
			path := filepath.Join(dir, "a/b/f")
			ended := make(chan struct{})
			go func() { defer close(ended); test.make(t, dir) }()
			defer func() { <-ended }()
			for {
				heard, tell := told()
				forget, err := n.Appears(path, tell)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := os.Stat(path); err == nil {
					forget()
					return
				}
				mustHear(t, heard, "that there may be a file")
				forget()
			}
		})
	}
}

func mkfile(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Error(err)
	}
}

// TestNoticesRetargeted has a link on the way lead elsewhere when that way is watched already.
func TestNoticesRetargeted(t *testing.T) {
	n := runNotices(t)
	dir := testenv.Dir(t)
	if err := os.MkdirAll(filepath.Join(dir, "old/b"), 0o700); err != nil {
		t.Fatal(err)
	}
	mkfile(t, filepath.Join(dir, "new/b/f"))
	for _, target := range []string{"old", "new"} {
		if err := os.Symlink(target, filepath.Join(dir, "to-"+target)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(filepath.Join(dir, "to-old"), filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	heard, tell := told()
	forget, err := n.Appears(filepath.Join(dir, "a/b/f"), tell)
	if err != nil {
		t.Fatal(err)
	}
	defer forget()
	if err := os.Rename(filepath.Join(dir, "to-new"), filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	mustHear(t, heard, "that there may be a file")
}

// TestNoticesPermissions tells when a file that was there may be opened now, and nothing of the file beside it.
func TestNoticesPermissions(t *testing.T) {
	n := runNotices(t)
	dir := testenv.Dir(t)
	path := filepath.Join(dir, "f")
	mkfile(t, path)
	mkfile(t, path+"x")
	heard, tell := told()
	forget, err := n.Appears(path, tell)
	if err != nil {
		t.Fatal(err)
	}
	defer forget()
	os.Chmod(path+"x", 0o644)
	mkfile(t, path+"y")
	silent(t, n, heard)
	os.Chmod(path, 0o644)
	mustHear(t, heard, "the change of mode")
}

// TestNoticesOverflow has more happen than the kernel keeps: everybody is told to look.
func TestNoticesOverflow(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes 20,000 files")
	}
	n, err := endpoint.NewNotices()
	if err != nil {
		t.Fatal(err)
	}
	dir := testenv.Dir(t)
	heard, tell := told()
	if _, err := n.Appears(filepath.Join(dir, "never", "f"), tell); err != nil {
		t.Fatal(err)
	}
	for i := range 20_000 { // fs.inotify.max_queued_events is 16,384
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() { defer close(ended); n.Run(stop) }()
	mustHear(t, heard, "the overflow")
	close(stop)
	<-ended
}

// TestNoticesAfterwards asks and forgets when nothing is told any more, as links do that end after the hub's notices.
func TestNoticesAfterwards(t *testing.T) {
	testenv.NoDescriptorsLeft(t)
	n, err := endpoint.NewNotices()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(testenv.Dir(t), "f")
	mkfile(t, path)
	before, err := n.Opened(path, func() {})
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	close(stop)
	n.Run(stop)
	after, err := n.Opened(path, func() {})
	if err != nil {
		t.Fatal(err)
	}
	before()
	after()
}

// TestNoticesWithoutInotify lets a user's instances run out: everybody is told time and again.
func TestNoticesWithoutInotify(t *testing.T) {
	testenv.NoDescriptorsLeft(t)
	n := endpoint.NoticesWithoutInotify()
	heard, tell := told()
	forget, err := n.Opened("/nonexistent", tell)
	if err != nil {
		t.Fatal(err)
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() { defer close(ended); n.Run(stop) }()
	mustHear(t, heard, "the tick")
	mustHear(t, heard, "the next tick")
	forget()
	close(stop)
	<-ended
}
