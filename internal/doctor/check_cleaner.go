package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"serialhub/internal/address"
	"serialhub/internal/qemu"
)

// lookAtCleaners tells of programs that will remove files of the links because they are old.
func (x *examination) lookAtCleaners() {
	rules := x.tmpfiles()
	others := x.otherCleaners()
	for _, e := range x.ends {
		if !e.isFile() || e.disabled {
			continue
		}
		what := "link to a terminal"
		if e.address.Kind() == address.Unix {
			what = "socket"
		}
		x.lookAtOld(e, what, e.address.Path(), rules, others)
	}
	for _, t := range x.transcripts() {
		x.lookAtOld(end{link: t.link}, "transcript", t.path, rules, others)
	}
}

type transcript struct{ link, path string }

// transcripts lists the files that the links are written down in.
func (x *examination) transcripts() (all []transcript) {
	wanted := func(name string) bool { return len(x.Only) == 0 || slices.Contains(x.Only, name) }
	if x.Config != nil {
		for _, link := range x.Config.Links {
			if link.Transcript != nil && !link.Disabled && wanted(link.Name) {
				all = append(all, transcript{link.Name, strings.ReplaceAll(link.Transcript.File, "{link}", link.Name)})
			}
		}
		return all
	}
	for _, link := range x.Links {
		if link.Transcript != nil && wanted(link.Name) {
			all = append(all, transcript{link.Name, link.Transcript.File})
		}
	}
	return all
}

func (x *examination) lookAtOld(e end, what, path string, rules []rule, others []cleaner) {
	if r, found := ageing(rules, path); found {
		x.lookAtAge(e, what, path, r)
	}
	for _, c := range others {
		if c.takes(what, path) {
			x.at(e, Problem, fmt.Sprintf("%s (%s) removes the %s %s when it is old. %s", c.name, c.from, what, path, again(what)), c.spare(path)...)
		}
	}
}

// lookAtAge judges what systemd-tmpfiles will do with a file, as it was measured with systemd 252: it passes over a socket that somebody listens on, if it sees that, in
// /proc/net/unix; a link and a file it removes.
func (x *examination) lookAtAge(e end, what, path string, r rule) {
	if what == "socket" {
		seen, err := x.sameNetwork()
		switch {
		case errors.Is(err, fs.ErrPermission):
			x.hidden("whether systemd-tmpfiles sees that the sockets are in use")
			return
		case err != nil || seen:
			return
		}
		what = "socket, of which it does not see that the hub listens there, because the hub is in another network namespace,"
	}
	x.at(e, Problem, fmt.Sprintf("systemd-tmpfiles removes the %s %s when it has not been used for %s (%s). %s", what, path, r.age, r.String(), again(what)),
		qemu.Echo("x "+tmpfilesPath(path))+" >>/etc/tmpfiles.d/serialhub.conf")
}

// again says what becomes of a file that is removed.
func again(what string) string {
	if what == "transcript" {
		return "What has been written is lost; the hub goes on in a new file"
	}
	return "The hub makes it again within 2 s, and who is connected stays; but a VM without reconnect that starts just then does not start"
}

// sameNetwork tells whether the hub is in the network namespace of the system's services.
func (x *examination) sameNetwork() (bool, error) {
	if x.hubPID == 0 {
		return true, nil
	}
	system, err := x.machine.link("/proc/1/ns/net")
	if err != nil {
		return false, err
	}
	hub, err := x.machine.link(fmt.Sprintf("/proc/%d/ns/net", x.hubPID))
	return hub == system, err
}

// rule is a line of tmpfiles.d(5).
type rule struct{ kind, path, age, line string }

func (r rule) String() string { return "the rule is: " + r.line }

// tmpfiles reads the rules of systemd-tmpfiles.
func (x *examination) tmpfiles() []rule {
	text, err := x.machine.Run(x.ctx, "systemd-tmpfiles", "--cat-config")
	if err != nil {
		return nil // there is none
	}
	return parseTmpfiles(text)
}

func parseTmpfiles(text string) (rules []rule) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.HasPrefix(line, "#") {
			continue
		}
		// What follows the letter says when the rule counts; that with ! is for the start of the machine alone.
		r := rule{kind: fields[0][:1], path: strings.Trim(fields[1], `"`), line: strings.Join(fields, " ")}
		if len(fields) > 5 && fields[5] != "-" {
			r.age = strings.TrimPrefix(fields[5], "~")
			if _, span, by := strings.Cut(r.age, ":"); by {
				r.age = span
			}
		}
		rules = append(rules, r)
	}
	return rules
}

// ageing finds the rule by which a file is removed when it is old: that of the nearest folder, unless the file or a folder on the way is excluded.
func ageing(rules []rule, path string) (best rule, found bool) {
	for _, r := range rules {
		if r.excludes(path) {
			return rule{}, false
		}
		for folder := filepath.Dir(path); strings.ContainsAny(r.kind, "dDevqQC"); folder = filepath.Dir(folder) {
			if match, err := filepath.Match(r.path, folder); err == nil && match && (!found || len(folder) > len(best.path)) {
				best, found = r, true
				best.path = folder
			}
			if folder == "/" {
				break
			}
		}
	}
	return best, found && best.age != "" && best.age != "0"
}

// excludes tells whether the rule keeps the file from being removed: x for all that is in a folder, X for the path alone.
func (r rule) excludes(path string) bool {
	switch r.kind {
	case "X":
		match, err := filepath.Match(r.path, path)
		return err == nil && match
	case "x":
		for at := path; ; at = filepath.Dir(at) {
			if match, err := filepath.Match(r.path, at); err == nil && match {
				return true
			}
			if at == "/" {
				return false
			}
		}
	default:
		return false
	}
}

// tmpfilesPath writes a path for tmpfiles.d(5), which takes % for a specifier, and some characters for a pattern.
func tmpfilesPath(path string) string {
	path = strings.ReplaceAll(path, "%", "%%")
	if strings.ContainsAny(path, " \t") {
		return `"` + path + `"`
	}
	return path
}

// cleaner is a call of tmpreaper or tmpwatch.
type cleaner struct {
	name, from string // the program, and the file that calls it
	folders    []string
	spared     []string // patterns
	all        bool     // also sockets and other special files
	links      bool     // also symbolic links
}

// otherCleaners finds tmpreaper and tmpwatch in cron's files and in tmpreaper's own.
func (x *examination) otherCleaners() (all []cleaner) {
	if text, err := x.machine.read("/etc/tmpreaper.conf"); err == nil {
		c := cleaner{name: "tmpreaper", from: "/etc/tmpreaper.conf"}
		warns := false
		for line := range strings.Lines(text) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			value = strings.Trim(value, `"'`)
			switch key {
			case "TMPREAPER_DIRS":
				for word := range strings.FieldsSeq(value) {
					c.folders = append(c.folders, strings.TrimSuffix(word, "/."))
				}
			case "TMPREAPER_PROTECT_EXTRA":
				c.spared = strings.Fields(value)
			case "TMPREAPER_ADDITIONALOPTIONS":
				c.options(strings.Fields(value))
			case "SHOWWARNING":
				warns = value == "true" // it does nothing then
			}
		}
		if !warns {
			all = append(all, c)
		}
	}
	files := []string{"/etc/crontab"}
	for _, folder := range []string{"cron.d", "cron.hourly", "cron.daily", "cron.weekly", "cron.monthly"} {
		found, _ := filepath.Glob(filepath.Join(x.machine.Folder, "/etc", folder, "*")) // the pattern is well-formed
		for _, file := range found {
			files = append(files, strings.TrimPrefix(file, x.machine.Folder))
		}
	}
	for _, file := range files {
		text, err := x.machine.read(file)
		if err != nil || file == "/etc/cron.daily/tmpreaper" { // which reads the file above
			continue
		}
		for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
			if c, ok := parseCleaner(line, file); ok {
				all = append(all, c)
			}
		}
	}
	return all
}

// parseCleaner reads a line of a shell that calls one of them.
func parseCleaner(line, from string) (c cleaner, ok bool) {
	line, _, _ = strings.Cut(line, "#")
	words := strings.Fields(line)
	at := slices.IndexFunc(words, func(word string) bool {
		base := filepath.Base(word)
		return base == "tmpwatch" || base == "tmpreaper"
	})
	if at < 0 {
		return c, false
	}
	c = cleaner{name: filepath.Base(words[at]), from: from}
	c.links = c.name == "tmpwatch"
	c.options(words[at+1:])
	for _, word := range words[at+1:] {
		if strings.HasPrefix(word, "/") {
			c.folders = append(c.folders, strings.TrimSuffix(strings.TrimSuffix(word, "."), "/"))
		}
	}
	c.folders = slices.DeleteFunc(c.folders, func(folder string) bool { return slices.Contains(c.spared, folder) })
	return c, len(c.folders) > 0
}

// options reads those that matter here.
func (c *cleaner) options(words []string) {
	for i, word := range words {
		option, value, joined := strings.Cut(word, "=")
		if !joined && i+1 < len(words) {
			value = words[i+1]
		}
		value = strings.Trim(value, `"'`)
		switch option {
		case "-a", "--all":
			c.all, c.links = true, true
		case "-s", "--symlinks":
			c.links = c.links || c.name == "tmpreaper" && option == "--symlinks"
		case "-l", "--nosymlinks":
			c.links = c.links && c.name != "tmpwatch"
		case "-x", "--exclude", "-X", "--exclude-pattern", "--protect":
			c.spared = append(c.spared, value)
		}
	}
}

// takes tells whether it removes such a file. Without being told so, neither of them touches sockets.
func (c cleaner) takes(what, path string) bool {
	if what == "socket" && !c.all || what == "link to a terminal" && !c.links {
		return false
	}
	if slices.ContainsFunc(c.spared, func(pattern string) bool {
		match, err := filepath.Match(pattern, path)
		return err == nil && match || within(path, pattern)
	}) {
		return false
	}
	return slices.ContainsFunc(c.folders, func(folder string) bool { return within(path, folder) })
}

// spare says how it is told to leave a file alone.
func (c cleaner) spare(path string) []string {
	switch {
	case c.from == "/etc/tmpreaper.conf":
		return []string{fmt.Sprintf("TMPREAPER_PROTECT_EXTRA=%s", qemu.Quote(strings.Join(append(slices.Clone(c.spared), path), " ")))}
	case c.name == "tmpreaper":
		return []string{"--protect " + qemu.Quote(path)}
	default:
		return []string{"--exclude=" + qemu.Quote(path)}
	}
}
