// Package doctor looks for what is wrong around the links of a hub: in the VMs' command lines, in the folders and files of the sockets, in the limits of
// this machine, and in the hub itself. It changes nothing, connects to no socket in a way that its owner would notice, and runs none but the programs that
// tell of a machine (systemctl, systemd-tmpfiles, journalctl, dmesg).
package doctor

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"serialhub/internal/config"
	"serialhub/internal/limits"
	"serialhub/internal/rest"
)

// Severity says how much a Finding matters.
type Severity string

// The severities.
const (
	Problem Severity = "problem" // something is wrong
	Note    Severity = "note"    // worth knowing; or what could not be seen
)

// Finding is one thing that was found.
type Finding struct {
	Link     string   `json:"link"`     // "" if it is of the hub, or of the machine
	End      string   `json:"end"`      // a or b; "" if it is of the link, the hub or the machine
	Check    string   `json:"check"`    // which check has found it, see Checks
	Severity Severity `json:"severity"` // problem or note
	Message  string   `json:"message"`  // what is wrong, in a sentence or two
	Fix      []string `json:"fix"`      // what to type or to write, line by line; empty if nothing can be typed
}

// Check is one kind of thing that is looked at.
type Check struct {
	Name string
	What string // in a few words, for people
	look func(*examination)
}

// Checks are all that there are, in the order in which they are made.
func Checks() []Check {
	return []Check{
		{"hub", "whether the hub runs", (*examination).lookAtHub},
		{"config", "the file of links against what runs", (*examination).lookAtConfig},
		{"upgrade", "the program on disk against what runs", (*examination).lookAtProgram},
		{"link", "states and last errors", (*examination).lookAtLinks},
		{"file", "what is at the sockets' paths", (*examination).lookAtFiles},
		{"access", "folders, modes, owners and allow_uids", (*examination).lookAtAccess},
		{"reconnect", "QEMUs that would not connect again", (*examination).lookAtReconnect},
		{"lost", "QEMUs that have lost their socket", (*examination).lookAtLost},
		{"owner", "groups and users of the config", (*examination).lookAtOwners},
		{"port", "TCP ports and addresses", (*examination).lookAtPorts},
		{"device", "serial ports", (*examination).lookAtDevices},
		{"sandbox", "what the hub's unit lets it do", (*examination).lookAtSandbox},
		{"cleaner", "cleaners of old files", (*examination).lookAtCleaners},
		{"denied", "denials by AppArmor and SELinux", (*examination).lookAtDenials},
		{"limits", "limits of descriptors, pipes and sockets", (*examination).lookAtLimits},
	}
}

// Patient is a hub and its links, as far as they are known.
type Patient struct {
	Path   string         // of the file of links
	Config *config.Config // nil if it cannot be read
	Need   limits.Need    // for what the links of Config need descriptors

	HubError error        // why no hub has told of itself; nil if one has
	Refused  bool         // one is there, and refuses to tell
	Status   *rest.Status // what it says of itself; nil if none has answered
	Links    []rest.Link  // likewise

	Only []string // the names of the links to look at; empty for all
}

// Examine makes all checks. It reads files and asks programs, for some seconds at most.
func Examine(ctx context.Context, p Patient, m Machine) []Finding {
	x := newExamination(ctx, p, m)
	for _, check := range Checks() {
		x.check = check.Name
		check.look(x)
	}
	slices.SortStableFunc(x.findings, func(a, b Finding) int { return x.rank(a) - x.rank(b) })
	return x.findings
}

// examination is one run. It is used by one goroutine.
type examination struct {
	Patient
	ctx       context.Context
	machine   Machine
	ends      []end
	processes []process // all that can be seen, but this one
	hub       user      // who the hub is, or will be
	hubPID    int       // 0 if none runs
	unit      unit      // zero if the hub is not a service
	check     string
	findings  []Finding
	unseen    map[string]bool // what was said already not to be visible
}

func newExamination(ctx context.Context, p Patient, m Machine) *examination {
	x := &examination{Patient: p, ctx: ctx, machine: m, unseen: map[string]bool{}}
	if p.Status != nil {
		x.hubPID = p.Status.PID
	}
	x.processes = m.processes()
	if x.hubPID == 0 {
		x.hubPID = x.silentHub()
	}
	x.unit = m.unitOf(ctx, x.hubPID, p.Path)
	x.hub = x.hubUser()
	x.ends = endsOf(p)
	return x
}

// silentHub finds the process of a hub that runs on the file and cannot be asked, such as one without an API; 0 if there is none.
func (x *examination) silentHub() int {
	for _, p := range x.processes {
		if filepath.Base(p.args[0]) != "serialhub" || len(p.args) < 2 || !strings.HasPrefix(p.args[1], "-") {
			continue // another program, or a command such as status
		}
		for i, arg := range p.args[1:] {
			file, joined := strings.CutPrefix(arg, "--config=")
			if before := p.args[i]; !joined && before != "-c" && before != "--config" {
				continue
			}
			if !filepath.IsAbs(file) {
				folder, err := x.machine.link(fmt.Sprintf("/proc/%d/cwd", p.pid))
				if err != nil {
					continue
				}
				file = filepath.Join(folder, file)
			}
			if filepath.Clean(file) == x.Path {
				return p.pid
			}
		}
	}
	return 0
}

// hubUser finds out who the hub is: the process that runs, the user of its unit, or whoever asks.
func (x *examination) hubUser() user {
	if x.hubPID != 0 {
		if u, err := x.machine.userOf(x.hubPID); err == nil {
			return u
		}
	}
	if name := x.unit.get("User"); name != "" {
		if u, err := lookUser(name); err == nil {
			return u
		}
	}
	if x.unit.name != "" && x.hubPID == 0 {
		return user{all: true} // a unit without User= is root's
	}
	u, err := x.machine.userOf(x.machine.Self)
	if err != nil {
		return user{all: true}
	}
	return u
}

// rank orders findings as they are shown: the hub and the machine first, then the links as they stand in the file.
func (x *examination) rank(f Finding) int {
	if f.Link == "" {
		return 0
	}
	for i, e := range x.ends {
		if e.link == f.Link && (f.End == "" || e.name == f.End) {
			return 1 + i
		}
	}
	return 1 + len(x.ends)
}

// found adds a finding of the hub or of the machine.
func (x *examination) found(severity Severity, message string, fix ...string) {
	x.add(Finding{Severity: severity, Message: message, Fix: fix})
}

// at adds a finding of an end.
func (x *examination) at(e end, severity Severity, message string, fix ...string) {
	x.add(Finding{Link: e.link, End: e.name, Severity: severity, Message: message, Fix: fix})
}

func (x *examination) add(f Finding) {
	f.Check = x.check
	if slices.ContainsFunc(f.Fix, func(line string) bool { return strings.ContainsFunc(line, unicode.IsControl) }) {
		f.Fix = nil // a line of it would be two, to whoever copies it
		f.Message += " (what to type is not printed: a name in it has control characters)"
	}
	if f.Fix == nil {
		f.Fix = []string{}
	}
	same := func(g Finding) bool {
		return g.Link == f.Link && g.End == f.End && g.Check == f.Check && g.Message == f.Message
	}
	if !slices.ContainsFunc(x.findings, same) {
		x.findings = append(x.findings, f)
	}
}

// hidden says, once, that something could not be seen.
func (x *examination) hidden(what string) {
	if x.unseen[what] {
		return
	}
	x.unseen[what] = true
	hint := "run it as root to see it"
	if x.machine.Root() {
		hint = "that is so even for root here"
	}
	x.found(Note, fmt.Sprintf("not looked at: %s; %s", what, hint))
}
