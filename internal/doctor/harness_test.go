package doctor

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"serialhub/internal/config"
	"serialhub/internal/rest"
	"serialhub/internal/testenv"
)

// body is a machine made of texts, and a hub on it.
type body struct {
	t        *testing.T
	machine  Machine
	programs map[string]string // what a program prints, by its line's beginning
	patient  Patient
}

// newBody makes a machine without anything, and a folder for a config and its sockets, dir.
func newBody(t *testing.T) (b *body, dir string) {
	t.Helper()
	b = &body{t: t, programs: map[string]string{}}
	b.machine = Machine{Folder: testenv.Dir(t), Self: 1000, UID: 0, Run: b.run}
	b.process(1000, 0, "serialhub", "doctor")
	return b, testenv.Dir(t)
}

func (b *body) run(_ context.Context, name string, args ...string) (string, error) {
	line := strings.Join(append([]string{name}, args...), " ")
	for beginning, text := range b.programs {
		if strings.HasPrefix(line, beginning) {
			return text, nil
		}
	}
	return "", exec.ErrNotFound
}

func (b *body) write(path, text string) {
	b.t.Helper()
	path = filepath.Join(b.machine.Folder, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// process adds one to /proc, of a user with that number and no group but that of the same number.
func (b *body) process(pid, uid int, args ...string) {
	b.t.Helper()
	capabilities := "0000000000000000"
	if uid == 0 {
		capabilities = "000001ffffffffff"
	}
	b.write(fmt.Sprintf("/proc/%d/cmdline", pid), strings.Join(args, "\x00")+"\x00")
	b.write(fmt.Sprintf("/proc/%d/comm", pid), filepath.Base(args[0])+"\n")
	b.write(fmt.Sprintf("/proc/%d/status", pid), fmt.Sprintf("Name:\t%s\nUid:\t%d\t%[2]d\t%[2]d\t%[2]d\nGid:\t%[2]d\t%[2]d\t%[2]d\t%[2]d\nGroups:\t%[2]d \nCapEff:\t%s\n",
		filepath.Base(args[0]), uid, capabilities))
}

// open adds a descriptor to a process.
func (b *body) open(pid, fd int, what string) {
	b.t.Helper()
	folder := filepath.Join(b.machine.Folder, fmt.Sprintf("/proc/%d/fd", pid))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Symlink(what, filepath.Join(folder, fmt.Sprint(fd))); err != nil {
		b.t.Fatal(err)
	}
}

// config has the patient have these links.
func (b *body) config(dir, links string) {
	b.t.Helper()
	b.patient.Path = filepath.Join(dir, "links.yaml")
	if err := os.WriteFile(b.patient.Path, []byte("links:\n"+links), 0o644); err != nil {
		b.t.Fatal(err)
	}
	c, err := config.Load(b.patient.Path)
	if err != nil {
		b.t.Fatal(err)
	}
	b.patient.Config = c
	if b.patient.Status == nil {
		b.patient.HubError = fmt.Errorf("no hub answers")
	}
}

// runs has the hub run as process 500 of that user, with what config has said, and all ends in that state.
func (b *body) runs(uid int, state rest.EndState) {
	b.t.Helper()
	b.process(500, uid, "/usr/bin/serialhub", "-c", b.patient.Path)
	b.patient.HubError = nil
	b.patient.Status = &rest.Status{PID: 500, Config: b.patient.Path, LastReload: rest.LastReload{OK: true}}
	b.patient.Links = nil
	if info, err := os.Stat(b.patient.Path); err == nil {
		b.patient.Status.LastReload.At = info.ModTime()
	}
	for _, link := range b.patient.Config.Links {
		live := rest.Link{Name: link.Name, State: rest.LinkWaiting, Ends: map[string]rest.End{}}
		for i, e := range link.Ends() {
			live.Ends[sides[i]] = rest.End{Address: e.Address.String(), Mode: rest.EndMode(e.Way()), State: state}
		}
		b.patient.Links = append(b.patient.Links, live)
	}
}

// unit has the hub be a service with these properties, for the patient's file if they do not say for which.
func (b *body) unit(properties string) {
	b.t.Helper()
	if !strings.Contains(properties, "ExecStart=") {
		properties += "ExecStart={ path=/usr/bin/serialhub ; argv[]=serialhub -c " + b.patient.Path + " ; ignore_errors=no }\n"
	}
	b.programs["systemctl show serialhub.service"] = "LoadState=loaded\n" + properties
	if b.patient.Status != nil {
		b.write("/proc/500/cgroup", "0::/system.slice/serialhub.service\n")
	}
}

// finds examines, and returns what one check has found.
func (b *body) finds(check string) (found []Finding) {
	b.t.Helper()
	for _, f := range Examine(b.t.Context(), b.patient, b.machine) {
		if f.Check == check {
			found = append(found, f)
		}
	}
	return found
}

// nothing fails the test if a check finds something.
func (b *body) nothing(check string) {
	b.t.Helper()
	if found := b.finds(check); len(found) > 0 {
		b.t.Errorf("%s finds %+v", check, found)
	}
}

// one fails the test unless a check finds one thing, with these words in its message and these lines to type. It may be a problem or a note.
func (b *body) one(check string, severity Severity, of, words string, fix ...string) {
	b.t.Helper()
	found := b.finds(check)
	if len(found) != 1 {
		b.t.Errorf("%s finds %+v, not one thing", check, found)
		return
	}
	f := found[0]
	if f.Severity != severity || strings.Trim(f.Link+" "+f.End, " ") != of || !strings.Contains(f.Message, words) || strings.Join(f.Fix, "\n") != strings.Join(fix, "\n") {
		b.t.Errorf("%s finds a %s at %q: %s\n%s\nnot a %s at %q: %s\n%s", check, f.Severity, strings.Trim(f.Link+" "+f.End, " "), f.Message, strings.Join(f.Fix, "\n"), severity, of, words, strings.Join(fix, "\n"))
	}
}
