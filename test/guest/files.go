package guest

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"testing"
)

// put copies a file of the host's into the guest, where it may be executed.
func (g *guest) put(t *testing.T, to, from string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	g.write(t, to, data)
}

// write writes a file in the guest, and the folders that it is in.
func (g *guest) write(t *testing.T, to string, data []byte) {
	t.Helper()
	p := g.newProcess("writing " + to)
	p.ask(t, request{Path: to, Data: data})
	p.wait(t)
}

// waitFile waits until something of that name is there in the guest, or is not.
func (g *guest) waitFile(t *testing.T, name string, there bool) {
	t.Helper()
	eventually(t, "waiting for a file in the guest", func() error {
		if _, code := g.run(t, "test", "-e", name); (code == 0) != there {
			return fmt.Errorf("that %s is there is %v", name, !there)
		}
		return nil
	})
}

// runTests runs tests of a package of this module in the guest, with flags such as "-test.run=^TestName$".
func (g *guest) runTests(t *testing.T, packagePath string, flags ...string) (output string, code int) {
	t.Helper()
	tests := path.Base(packagePath) + ".test"
	built := filepath.Join(t.TempDir(), tests)
	if err := goStatic("test", "-c", "-o", built, packagePath); err != nil {
		t.Fatal(err)
	}
	g.put(t, "/tests/"+tests, built)
	return g.run(t, append([]string{"/tests/" + tests, endInTime}, flags...)...)
}

// endInTime has a test binary that hangs say where, before patience is at an end.
var endInTime = fmt.Sprintf("-test.timeout=%v", patience*9/10)

// runInside runs one of these tests in the guest.
func (g *guest) runInside(t *testing.T, test string) {
	t.Helper()
	output, code := g.run(t, "/init", "-test.run=^"+test+"$", "-test.v", endInTime)
	t.Log(output)
	if code != 0 {
		t.Errorf("failed in the guest, with status %d", code)
	}
}
