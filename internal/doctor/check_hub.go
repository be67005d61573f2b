package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"serialhub/internal/config"
	"serialhub/internal/qemu"
	"serialhub/internal/rest"
)

// lookAtHub tells why no hub answers.
func (x *examination) lookAtHub() {
	if x.HubError == nil {
		return
	}
	service := x.unit.word()
	why := x.HubError.Error()
	switch active := x.unit.get("ActiveState"); {
	case x.Refused:
		x.found(Problem, "the hub does not tell how its links are: "+why)
	case x.hubPID != 0 && x.Config != nil && len(x.Config.API.Listen) == 0:
		x.found(Note, fmt.Sprintf("the hub runs (pid %d) and has no API (api.listen: none), so nobody can tell who is connected", x.hubPID))
	case x.hubPID != 0 && active != "failed" && active != "activating":
		x.found(Problem, fmt.Sprintf("the hub runs (pid %d) and cannot be asked how its links are: %s", x.hubPID, why))
	case active == "failed":
		x.found(Problem, fmt.Sprintf("the hub's service %s has failed (%s): %s", x.unit.name, x.unit.get("Result"), why),
			x.unit.systemctl("status "+service), x.unit.journal(), x.unit.systemctl("reset-failed "+service), x.unit.systemctl("start "+service))
	case active == "activating":
		x.found(Problem, fmt.Sprintf("the hub's service %s tries to start, again and again: %s", x.unit.name, why), x.unit.systemctl("status "+service), x.unit.journal())
	case active == "active":
		x.found(Problem, fmt.Sprintf("the hub's service %s runs, and does not answer: %s", x.unit.name, why), x.unit.systemctl("status "+service), x.unit.journal())
	case strings.HasPrefix(x.unit.get("UnitFileState"), "enabled"):
		x.found(Problem, fmt.Sprintf("the hub's service %s is enabled and does not run: %s", x.unit.name, why), x.unit.systemctl("start "+service), x.unit.journal())
	case x.unit.name != "":
		x.found(Note, fmt.Sprintf("the hub does not run, and its service %s is not enabled: %s", x.unit.name, why), x.unit.systemctl("enable --now "+service))
	default:
		x.found(Note, "no hub runs, so nobody can tell who is connected: "+why, "serialhub -c "+qemu.Quote(x.Path))
	}
}

func (u unit) journal() string {
	if u.user {
		return "journalctl --user -u " + u.word() + " -n 50 --no-pager"
	}
	return "journalctl -u " + u.word() + " -n 50 --no-pager"
}

// lookAtConfig compares the file with what runs.
func (x *examination) lookAtConfig() {
	if x.Status == nil {
		return
	}
	if x.Path != x.Status.Config {
		x.found(Note, fmt.Sprintf("the hub that answers runs %s, not %s", x.Status.Config, x.Path), "serialhub doctor -c "+qemu.Quote(x.Status.Config))
		return
	}
	last := x.Status.LastReload
	if !last.OK {
		why := "it does not say why"
		if last.Error != nil {
			why = *last.Error
		}
		x.found(Problem, fmt.Sprintf("the hub has refused its file of links, %s, and goes on with what it had: %s", x.Path, why),
			"serialhub check -c "+qemu.Quote(x.Path), "serialhub reload")
		return
	}
	if x.Config == nil {
		x.hidden("the file of links " + x.Path)
		return
	}
	if differ := difference(x.Config, x.Links); differ != "" {
		x.found(Problem, fmt.Sprintf("what runs is not what %s says: %s; was a reload forgotten?", x.Path, differ), "serialhub reload")
		return
	}
	info, err := os.Stat(x.Path)
	if err == nil && info.ModTime().After(last.At.Add(time.Second)) {
		x.found(Note, fmt.Sprintf("%s has been written after the hub has read it; if something was changed, it is not in force yet", x.Path), "serialhub reload")
	}
}

// difference says in which links the file and the hub differ, as far as the API tells; "" if in none.
func difference(c *config.Config, links []rest.Link) string {
	var words []string
	runs := map[string]rest.Link{}
	for _, link := range links {
		runs[link.Name] = link
	}
	for _, link := range c.Links {
		now, there := runs[link.Name]
		delete(runs, link.Name)
		if !there {
			words = append(words, link.Name+" is only in the file")
			continue
		}
		for i, e := range link.Ends() {
			live := now.Ends[sides[i]]
			if live.Address != e.Address.String() || string(live.Mode) != e.Way() {
				words = append(words, fmt.Sprintf("end %s of %s is %s %s, and in the file %s %s", sides[i], link.Name, live.Mode, live.Address, e.Way(), e.Address))
			}
		}
	}
	for _, link := range links {
		if _, left := runs[link.Name]; left {
			words = append(words, link.Name+" is not in the file")
		}
	}
	const most = 3
	if len(words) > most {
		words = append(words[:most], fmt.Sprintf("and %d more", len(words)-most))
	}
	return strings.Join(words, "; ")
}

// lookAtProgram tells whether another program has been put in the place of the one that runs.
func (x *examination) lookAtProgram() {
	if x.hubPID == 0 {
		return
	}
	exe := fmt.Sprintf("/proc/%d/exe", x.hubPID)
	name, err := x.machine.link(exe)
	if errors.Is(err, fs.ErrPermission) {
		x.hidden("the program that the hub runs")
		return
	}
	if err != nil {
		return
	}
	path, replaced := strings.CutSuffix(name, " (deleted)")
	if !replaced {
		return
	}
	if _, err := os.Stat(path); err != nil {
		x.found(Note, fmt.Sprintf("the program %s that the hub runs has been removed; the hub goes on, but cannot be upgraded or restarted", path))
		return
	}
	line := fmt.Sprintf("kill -USR2 %d", x.hubPID)
	if x.unit.name != "" {
		line = x.unit.systemctl("kill --kill-who=main --signal=SIGUSR2 " + x.unit.word())
	}
	x.found(Note, fmt.Sprintf("%s is another program than the one that runs; to have it take over, which costs no peer its connection:", path), line)
}

// lookAtRetries repeats why ends are tried again, each for itself: of two that fail in turn, the link tells of the last alone, which is
// repeated of a link that is tried again as a whole.
func (x *examination) lookAtRetries(link rest.Link, why string) {
	const trying = "the hub cannot open it, and goes on trying"
	known := false
	for _, side := range sides {
		if e := link.Ends[side]; e.Error != nil {
			known = true
			x.add(Finding{Link: link.Name, End: side, Severity: Problem, Message: trying + ": " + *e.Error})
		}
	}
	if !known {
		x.add(Finding{Link: link.Name, Severity: Problem, Message: trying + why})
	}
}

// lookAtLinks repeats what the hub itself says of links that do not work.
func (x *examination) lookAtLinks() {
	for _, link := range x.Links {
		if len(x.Only) > 0 && !slices.Contains(x.Only, link.Name) {
			continue
		}
		why, end := "", ""
		if link.LastError != nil {
			why, end = ": "+link.LastError.Message, link.LastError.End
		}
		switch link.State {
		case rest.LinkFailed:
			x.add(Finding{Link: link.Name, End: end, Severity: Problem, Message: "the link has failed, and is not tried again" + why, Fix: []string{"serialhub reset " + qemu.Quote(link.Name)}})
		case rest.LinkRetrying:
			x.lookAtRetries(link, why)
		case rest.LinkStopped:
			x.add(Finding{Link: link.Name, Severity: Note, Message: "the link is stopped, or disabled in the file", Fix: []string{"serialhub start " + qemu.Quote(link.Name)}})
		}
		if t := link.Transcript; t != nil && t.Error != nil {
			x.add(Finding{Link: link.Name, Severity: Problem, Message: fmt.Sprintf("its transcript %s cannot be written: %s", t.File, *t.Error),
				Fix: []string{"ls -ld " + qemu.Quote(filepath.Dir(t.File))}})
		}
	}
}
