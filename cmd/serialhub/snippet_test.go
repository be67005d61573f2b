package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"serialhub/internal/testenv"
	"serialhub/test/page"
)

// TestSnippet prints the same by the hub's word as by the file's.
func TestSnippet(t *testing.T) {
	p := startLinks(t)
	file := filepath.Join(p.dir, "links.yaml")
	const notAlone = "serialhub: .*"
	for _, row := range []struct{ args, out string }{
		{"snippet dbg --for qemu --end a", "-serial unix:" + p.dir + "/a,reconnect=1\n"},
		{"snippet dbg --for qemu --end b --reconnect-ms", "-serial unix:" + p.dir + "/b,reconnect-ms=1000\n"},
		{"snippet broken --for qemu --end b", "-serial unix:" + p.dir + "/nobody,server=on,wait=off\n"},
		{"snippet console2 --for xen --end a --port 2", "serial = ['pty', 'unix:" + p.dir + "/e,reconnect=1']\n"},
		{"snippet broken --for virtualbox --end b --vm win7", "VBoxManage modifyvm win7 --uart1 0x3F8 4 --uartmode1 server " + p.dir + "/nobody\n"},
		{"snippet broken --for cloud-hypervisor --end b", "--serial socket=" + p.dir + "/nobody --console off\n"},
	} {
		args := strings.Fields(row.args)
		p.says(0, regexp.QuoteMeta(row.out), notAlone, args...)
		code, out, errs := calls(t, "", []string{"SERIALHUB_API=unix:/nonexistent/api"}, append(args, "-c", file)...)
		if code != 0 || out != row.out || errs == "" {
			t.Errorf("%s -c: %d, %q, %q; want %q", row.args, code, out, errs, row.out)
		}
	}
	p.says(1, "", `serialhub: .*no link.*did you mean dbg\?.*`, "snippet", "dgb", "--for", "qemu", "--end", "a")
	expect(t, 1, "", `has no link "dgb"; did you mean dbg?`, "snippet", "dgb", "--for", "qemu", "--end", "a", "-c", file)
	expect(t, 1, "", `end a of link dbg: cloud-hypervisor's serial port only listens; in the file of links make it  a: {connect: "unix:/run/vm/dbg.sock"}`,
		"snippet", "dbg", "--for", "cloud-hypervisor", "--end", "a", "-c", file)
	for _, row := range []struct{ args, errs string }{
		{"snippet --for qemu --end a", "which link?"},
		{"snippet dbg --end a", "for which hypervisor? Write --for with xen, qemu, libvirt, virtualbox or cloud-hypervisor"},
		{"snippet dbg --for qmeu --end a", `"qmeu" is not one; did you mean qemu?`},
		{"snippet dbg --for hyper-v --end a", `"hyper-v" is not one; there are xen,`},
		{"snippet dbg --for qemu", "which end?"},
		{"snippet dbg --for qemu --end c", `no end "c"`},
		{"snippet dbg --for qemu --end a --port 5", "no port 5"},
		{"snippet dbg --for qemu --end a --host=", "--host is empty"},
		{"snippet dbg --for qemu --end a -c /nonexistent", "no such file"},
	} {
		expect(t, 2, "", row.errs, strings.Fields(row.args)...)
	}
}

// TestSnippetsAreOnThePage compares docs/ends.md with what snippet prints: each line of the hub's file there is to have the line of the hypervisor that
// is shown above it, and a hypervisor's block has nothing else.
func TestSnippetsAreOnThePage(t *testing.T) {
	ends, err := page.Read("../../docs/ends.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := testenv.Dir(t)
	ca := testenv.NewAuthority(t, "ca")
	testenv.WriteFile(t, filepath.Join(dir, "ca.pem"), ca.PEM)
	ca.Issue(t, "hub", false).Write(t, filepath.Join(dir, "hub.pem"), filepath.Join(dir, "hub.key"))
	sections := map[string]string{
		"QEMU": "qemu", "Xen": "xen", "libvirt": "libvirt", "VirtualBox": "virtualbox", "cloud-hypervisor": "cloud-hypervisor", "vsock, with QEMU and libvirt": "qemu",
	}
	compared := map[string]int{}
	for i, block := range ends.Blocks {
		hypervisor := sections[block.Heading]
		if hypervisor == "" || block.Language != "yaml" {
			continue
		}
		shown := withoutRemarks(ends.Blocks[i-1].Text)
		known := "" // all that snippet says of these ends
		for line := range strings.Lines(block.Text) {
			link := "links:\n  - name: dbg\n    b: b\n" + line
			file := filepath.Join(dir, "links.yaml")
			if err := os.WriteFile(file, []byte(link), 0o600); err != nil {
				t.Fatal(err)
			}
			for n, more := range [][]string{nil, {"--reconnect-ms"}, {"--port", "2"}} {
				code, out, errs := calls(t, "", nil, slices.Concat([]string{"snippet", "dbg", "--for", hypervisor, "--end", "a", "-c", file}, more)...)
				if hypervisor == "cloud-hypervisor" && n == 2 {
					continue // it has one port
				}
				if code != 0 {
					t.Fatalf("docs/ends.md:%d: %s is for %s, and snippet says %s", block.Line, line, hypervisor, errs)
				}
				if n == 0 && !strings.Contains(shown, out) {
					t.Errorf("docs/ends.md:%d: for %sthere has to be in the block before:\n%s", block.Line, line, out)
				}
				known += out + errs + "\n"
			}
			compared[hypervisor]++
		}
		for line := range strings.Lines(shown) {
			if text := strings.TrimSpace(line); text != "" && !strings.Contains(known, text) {
				t.Errorf("docs/ends.md:%d: snippet never prints %q", ends.Blocks[i-1].Line, text)
			}
		}
	}
	if fmt.Sprint(compared) != "map[cloud-hypervisor:2 libvirt:4 qemu:10 virtualbox:4 xen:3]" {
		t.Errorf("lines compared: %v; is one left out, or to be counted here?", compared)
	}
}

// withoutRemarks takes away what is after a # behind spaces.
func withoutRemarks(block string) string {
	return regexp.MustCompile(`(?m)[ \t]+#.*$|[ \t]+$`).ReplaceAllString(block, "")
}
