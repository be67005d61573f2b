package docs

import (
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"serialhub/test/container"
	"serialhub/test/page"
)

// root is the project's folder, seen from that of the tests.
const root = "../.."

// tree is what the project's folder has, by its path in there: files, and folders with a file in them.
type tree map[string]bool

// readTree asks git, so that what was built does not count.
func readTree(t *testing.T) tree {
	t.Helper()
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	output, err := list.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	files := tree{".": true}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(output), "\x00"), "\x00") {
		if _, err := os.Lstat(filepath.Join(root, name)); err != nil {
			continue // removed, and git has not been told yet
		}
		for ; !files[name]; name = path.Dir(name) {
			files[name] = true
		}
	}
	return files
}

// treeOfTest is the tree; in a container, where git knows nothing of it, all that was brought there.
func treeOfTest(t *testing.T) tree {
	t.Helper()
	if container.Shared == "" {
		return readTree(t)
	}
	files := tree{}
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, _ fs.DirEntry, err error) error {
		files[name] = true
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// pages are those of the tree, by their path in there.
func (files tree) pages(t *testing.T) map[string]*page.Page {
	t.Helper()
	pages := map[string]*page.Page{}
	for name := range files {
		if path.Ext(name) != ".md" {
			continue
		}
		read, err := page.Read(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		pages[name] = read
	}
	if len(pages) == 0 {
		t.Fatal("the tree has no pages")
	}
	return pages
}
