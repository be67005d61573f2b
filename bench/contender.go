package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// contender is one of the ways to join two ends.
type contender struct {
	name    string
	kind    kind
	version []string // the command that tells its version, if it has one
	ends    [2]end   // left and right; as they come, two unix sockets that listen
	keys    string   // of each link in a hub's config, beyond its name and ends, in YAML's flow style
	// lay prepares n such links in the folder dir; nothing runs yet. Without a relay, only one of the ends can be had.
	lay func(dir string, n int, ends [2]end, keys string) (*wires, error)
}

// between is the same contender between other ends.
func (c contender) between(a, b end) contender {
	c.ends = [2]end{a, b}
	return c
}

// with is the same contender, whose links have more keys if it is a hub.
func (c contender) with(keys string) contender {
	c.keys = keys
	return c
}

// kind tells what a contender can be asked for.
type kind int

const (
	hub     kind = iota // one process, any number of links
	socat               // one process for each link, which ends with it
	direct              // no relay: one client makes a place, the other goes there
	ser2net             // one process, any number of links, which begin at an end that listens and go on to one that connects
)

// hubs is the value of the -hub flags.
type hubs []contender

func (h *hubs) String() string { return "" }

// Set adds a hub, given as PROGRAM or NAME=PROGRAM.
func (h *hubs) Set(text string) error {
	name, program, named := strings.Cut(text, "=")
	if !named || strings.Contains(name, "/") {
		name, program = "hub", text
	}
	if name == "" {
		return errors.New("the name is missing")
	}
	info, err := os.Stat(program)
	if err != nil {
		return err
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return fmt.Errorf("%s is not a program", program)
	}
	program, err = filepath.Abs(program)
	if err != nil {
		return err
	}
	*h = append(*h, newHub(name, program))
	return nil
}

// newHub is a hub as it runs for a user, with every default: it logs who comes and goes, here into a file.
func newHub(name, program string) contender {
	lay := func(dir string, n int, ends [2]end, keys string) (*wires, error) {
		w := &wires{dir: dir, api: filepath.Join(dir, "api"), clean: true}
		var text strings.Builder
		text.WriteString("api: {listen: unix:api}\nlinks:\n")
		if keys != "" {
			keys = ", " + keys
		}
		if n == 0 {
			text.WriteString("  []\n")
		}
		for i := range n {
			a, b, err := w.link(ends, i, end.hub)
			if err != nil {
				return w, err
			}
			fmt.Fprintf(&text, "  - {name: l%d, a: %s, b: %s%s}\n", i, a, b, keys)
		}
		config := filepath.Join(dir, "links.yaml")
		w.commands = [][]string{{program, "-c", config}}
		return w, os.WriteFile(config, []byte(text.String()), 0o600)
	}
	return contender{name: name, kind: hub, version: []string{program, "version"}, lay: lay}
}

// newSocat is socat as the hub's users would run it without the hub: with its default options.
func newSocat(program string) contender {
	lay := func(dir string, n int, ends [2]end, _ string) (*wires, error) {
		w := &wires{dir: dir}
		for i := range n {
			a, b, err := w.link(ends, i, end.socat)
			if err != nil {
				return w, err
			}
			w.commands = append(w.commands, []string{program, a, b})
		}
		return w, nil
	}
	return contender{name: "socat", kind: socat, version: []string{program, "-V"}, lay: lay}
}

// newSer2net is ser2net with a connection for each link. It goes to the right end when somebody has come to the left one. It does not
// wait for more characters before it hands some on (chardelay), as somebody would have it who debugs: it would take milliseconds.
func newSer2net(program string) contender {
	lay := func(dir string, n int, ends [2]end, _ string) (*wires, error) {
		w := &wires{dir: dir}
		config := filepath.Join(dir, "ser2net.yaml")
		w.commands = [][]string{{program, "-n", "-d", "-c", config}} // -d: stays in the foreground
		var text strings.Builder
		text.WriteString("%YAML 1.1\n---\n")
		for i := range n {
			a, b, err := w.link(ends, i, end.ser2net)
			if err != nil {
				return w, err
			}
			fmt.Fprintf(&text, "connection: &l%d\n  accepter: %s\n  connector: %s\n  options: {chardelay: false}\n", i, a, b)
		}
		return w, os.WriteFile(config, []byte(text.String()), 0o600)
	}
	return contender{name: "ser2net", kind: ser2net, version: []string{program, "-v"}, lay: lay}
}

// newDirect is what no relay can beat: the clients meet at the place that the right one would share with a relay.
func newDirect() contender {
	lay := func(dir string, n int, ends [2]end, _ string) (*wires, error) {
		w := &wires{dir: dir}
		medium := ends[right].medium
		for i := range n {
			place, err := w.end(right, end{medium, true}, fmt.Sprint(i))
			if err != nil {
				return w, err
			}
			if err := w.client(left, end{medium, false}, place); err != nil {
				return w, err
			}
		}
		return w, nil
	}
	return contender{name: "direct", kind: direct, lay: lay}
}
