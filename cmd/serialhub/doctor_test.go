package main_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"serialhub/internal/testenv"
)

// report is what doctor -o json prints.
type report struct {
	Findings []struct {
		Link, End, Check, Severity, Message string
		Fix                                 []string
	}
}

func examine(t *testing.T, wantCode int, args ...string) (r report) {
	t.Helper()
	code, out, errs := calls(t, "", nil, append([]string{"doctor", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != wantCode {
		t.Fatalf("doctor ends with %d, not %d, and prints %q, and %q (%v)", code, wantCode, out, errs, err)
	}
	return r
}

func (r report) has(link, end, check, severity string) bool {
	for _, f := range r.Findings {
		if f.Link == link && f.End == end && f.Check == check && f.Severity == severity {
			return true
		}
	}
	return false
}

// TestDoctor examines a hub that is well, one whose socket is taken, and the file alone.
func TestDoctor(t *testing.T) {
	p := start(t)
	file := filepath.Join(p.dir, "links.yaml")
	code, out, errs := calls(t, "", nil, "doctor", "-c", file)
	if code != 0 || !strings.Contains(out, "Nothing is wrong. Looked at: whether the hub runs; ") || errs != "" {
		t.Errorf("doctor ends with %d and prints %q, and %q", code, out, errs)
	}

	// A file that is not a socket is in the way of a new link's end, whose group does not exist either.
	taken := filepath.Join(p.dir, "taken")
	if err := os.WriteFile(taken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	text := "api: {listen: unix:api}\nlinks:\n  - {name: dbg, a: a, b: b}\n  - {name: more, a: taken, b: {listen: d, group: nosuchgroup}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := examine(t, 1, "-c", file); !r.has("", "", "config", "problem") {
		t.Errorf("a forgotten reload is not found: %+v", r)
	}
	if code, _, errs := calls(t, "", nil, "reload", "-c", file); code != 0 {
		t.Fatal(errs)
	}
	r := examine(t, 1, "-c", file, "more")
	if !r.has("more", "a", "file", "problem") || !r.has("more", "b", "owner", "problem") || r.has("", "", "config", "problem") {
		t.Errorf("%+v", r)
	}
	if r := examine(t, 0, "-c", file, "dbg"); len(r.Findings) > 0 && r.has("dbg", "", "link", "problem") {
		t.Errorf("a link that is well: %+v", r)
	}
	expect(t, 1, "", `there is no link "mor"; did you mean more?`, "doctor", "-c", file, "mor")

	p.cmd.Process.Kill()
	<-p.ended
	r = examine(t, 1, "-c", file)
	if !r.has("more", "a", "file", "problem") || !r.has("", "", "hub", "note") {
		t.Errorf("without a hub: %+v", r)
	}
}

// TestDoctorRefuses what it cannot examine.
func TestDoctorRefuses(t *testing.T) {
	bad := writeConfig(t, "links:\n  - {name: dbg, a: a, c: b}\n")
	expect(t, 2, "", "links[0].c", "doctor", "-c", bad)
	expect(t, 2, "", `--output: "yaml" is not one; there are text and json`, "doctor", "-o", "yaml")
	expect(t, 2, "", "is not the name of a link", "doctor", "..")
	expect(t, 2, "", "to look at a file of links without a hub: serialhub doctor -c FILE", "doctor", "--api", "unix:/nonexistent")
}

// TestDoctorChangesNothing: it connects to no socket, and leaves no file.
func TestDoctorChangesNothing(t *testing.T) {
	p := start(t)
	file := filepath.Join(p.dir, "links.yaml")
	state := func() string {
		var all strings.Builder
		entries, err := os.ReadDir(p.dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			info, err := entry.Info()
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&all, entry.Name(), info.Mode(), info.ModTime(), info.Sys().(*syscall.Stat_t).Ino)
		}
		return all.String()
	}
	before := state()
	examine(t, 0, "-c", file)
	if after := state(); after != before {
		t.Errorf("before:\n%safter:\n%s", before, after)
	}
	if log := p.log.String(); strings.Contains(log, "peer connected") {
		t.Error("it has connected to a link: ", log)
	}
}

// TestDoctorAsAnybody says what it could not see.
func TestDoctorAsAnybody(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	p := start(t)
	for path, mode := range map[string]os.FileMode{p.dir: 0o755, filepath.Join(p.dir, "api"): 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(p.dir, "serialhub") // the folder of the tests' own is root's
	if out, err := exec.Command("cp", binary, program).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	cmd := exec.Command(program, "doctor", "--api", "unix:"+filepath.Join(p.dir, "api"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	for _, words := range []string{
		"not looked at: the file of links " + filepath.Join(p.dir, "links.yaml") + "; run it as root to see it",
		"not looked at: the program that the hub runs; run it as root to see it",
		"Nothing is wrong.",
	} {
		if err != nil || !strings.Contains(string(out), words) {
			t.Errorf("%v: %q is not in %s", err, words, out)
		}
	}
}

// TestDoctorLines: what is copied from the text is what programs get, byte for byte, and a shell does with it what it says.
func TestDoctorLines(t *testing.T) {
	file := writeConfig(t, "api: {listen: none}\nlinks:\n  - {name: dbg, a: 'it''s \\a', b: \"hidden\\u202e\"}\n")
	folder := filepath.Dir(file)
	for _, name := range []string{`it's \a`, "hidden\u202e"} {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lines := map[string]string{}
	for _, f := range examine(t, 1, "-c", file).Findings {
		if f.Check == "file" {
			lines[f.End] = f.Fix[0]
		}
	}
	_, out, _ := calls(t, "", nil, "doctor", "-c", file)
	if lines["a"] == "" || !strings.Contains(out, "\n        "+lines["a"]+"\n") {
		t.Fatalf("%q is not in %s", lines["a"], out)
	}
	if out, err := exec.Command("sh", "-c", lines["a"]).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	if _, err := os.Stat(filepath.Join(folder, `it's \a.old`)); err != nil {
		t.Error(err)
	}
	if lines["b"] == "" || strings.Contains(out, "\u202e") || !strings.Contains(out, "\n        # not to be copied, it has characters that cannot be seen: mv -i ") {
		t.Errorf("%q is shown as %s", lines["b"], out)
	}
}

// TestDoctorIsRefused: a user who may not read the tokens is told that the hub refuses, not that the file has faults.
func TestDoctorIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	file := writeConfig(t, "api: {listen: ['unix:api', '"+address+"'], token_file: tokens}\nlinks:\n  - {name: dbg, a: a, b: b}\n")
	folder := filepath.Dir(file)
	testenv.WriteFile(t, filepath.Join(folder, "tokens"), "0123456789abcdef0123456789abcdef01234567\n")
	tcp := filepath.Join(folder, "tcp.yaml")
	testenv.WriteFile(t, tcp, "api: {listen: '"+address+"', token_file: tokens}\nlinks:\n  - {name: dbg, a: a, b: b}\n")
	program := filepath.Join(folder, "serialhub") // the folder of the tests' own is root's
	if out, err := exec.Command("cp", binary, program).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	for path, mode := range map[string]os.FileMode{folder: 0o755, tcp: 0o644, filepath.Join(folder, "tokens"): 0o600} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	startCommand(t, folder, binary, "-c", file)
	for _, names := range [][]string{nil, {"dbg"}} {
		cmd := exec.Command(program, append([]string{"doctor", "-c", tcp}, names...)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "the hub does not tell how its links are: ") {
			t.Errorf("doctor %v ends with %v: %s", names, cmd.ProcessState, out)
		}
	}
}
