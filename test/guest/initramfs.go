package guest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// writeInitramfs packs what the guest boots with: this test binary as /init, the hub, busybox, the kernel's modules,
// and the users of this machine.
func writeInitramfs(to, init, hub string) (err error) {
	modules, err := filepath.Glob(artefact("*.ko"))
	if err != nil {
		return err
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return err
	}
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	defer file.Close()

	archive := cpio{out: bufio.NewWriterSize(file, 1<<20)}
	archive.add("bin", 0o40755, nil)
	archive.add("etc", 0o40755, nil)
	archive.add("modules", 0o40755, nil)
	archive.addFile("init", init)
	archive.addFile("bin/serialhub", hub)
	archive.addFile("bin/busybox", busybox)
	for _, users := range []string{"etc/passwd", "etc/group"} {
		archive.addFile(users, "/"+users)
	}
	for _, module := range modules {
		archive.addFile("modules/"+filepath.Base(module), module)
	}
	archive.add("TRAILER!!!", 0, nil)
	if archive.err != nil {
		return archive.err
	}
	return archive.out.Flush()
}

// cpio writes an archive in the kernel's "newc" format; its first error stays.
type cpio struct {
	out   *bufio.Writer
	inode int
	err   error
}

// addFile adds an executable file.
func (c *cpio) addFile(name, from string) {
	data, err := os.ReadFile(from)
	if err != nil {
		c.err = err
	}
	c.add(name, 0o100755, data)
}

// add adds a file, or a folder, by its mode.
func (c *cpio) add(name string, mode int, data []byte) {
	if c.err != nil {
		return
	}
	c.inode++
	const links = 1
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		c.inode, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
	c.write([]byte(header))
	c.write(data)
}

// write writes what is padded to four bytes.
func (c *cpio) write(data []byte) {
	if c.err == nil {
		_, c.err = c.out.Write(data)
	}
	if c.err == nil {
		_, c.err = io.WriteString(c.out, "\x00\x00\x00"[:-len(data)&3])
	}
}
