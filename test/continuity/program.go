package continuity

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

// program is the file that a service runs. Two copies of the hub take turns there, so that its inode tells which is running.
type program struct {
	path   string
	copies [2]string
	next   int
}

func installProgram(t *testing.T, dir, binary string) *program {
	t.Helper()
	p := &program{path: filepath.Join(dir, "serialhub")}
	for i := range p.copies {
		p.copies[i] = filepath.Join(dir, ".copy"+string(rune('0'+i)))
		copyFile(t, binary, p.copies[i])
	}
	p.upgrade(t)
	return p
}

// upgrade puts the other copy in the place of the program, as a package manager would: by a rename.
func (p *program) upgrade(t *testing.T) {
	t.Helper()
	if err := os.Link(p.copies[p.next], p.fresh()); err != nil {
		t.Fatal(err)
	}
	p.install(t)
	p.next = 1 - p.next
}

// spoil puts something else in the place of the program.
func (p *program) spoil(t *testing.T, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(p.fresh(), []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	p.install(t)
}

// fresh is where a file is made that install puts in the place of the program.
func (p *program) fresh() string { return p.path + ".new" }

func (p *program) install(t *testing.T) {
	t.Helper()
	if err := os.Rename(p.fresh(), p.path); err != nil {
		t.Fatal(err)
	}
}

// runs tells whether a process runs the program that is on disk now.
func (p *program) runs(pid int) bool {
	return sameInode(p.path, procFile(pid, "exe"))
}

func sameInode(one, other string) bool {
	first, err := os.Stat(one)
	if err != nil {
		return false
	}
	second, err := os.Stat(other)
	return err == nil && os.SameFile(first, second)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	source, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(target, source); err != nil {
		t.Fatal(err)
	}
	if err := target.Close(); err != nil {
		t.Fatal(err)
	}
}
