package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// contender is one of the ways to join two sockets.
type contender struct {
	name    string
	kind    kind
	version []string // the command that tells its version, if it has one
	// lay prepares n links in the folder dir; nothing runs yet.
	lay func(dir string, n int) (*wires, error)
}

// kind tells what a contender can be asked for.
type kind int

const (
	hub    kind = iota // one process, any number of links
	socat              // one process for each link, which ends with it
	direct             // no relay: the two ends of a socketpair
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
	lay := func(dir string, n int) (*wires, error) {
		w := &wires{dir: dir, api: filepath.Join(dir, "api"), clean: true}
		var text strings.Builder
		text.WriteString("api: {listen: unix:api}\nlinks:\n")
		if n == 0 {
			text.WriteString("  []\n")
		}
		for i := range n {
			a, b := fmt.Sprint(i, "a"), fmt.Sprint(i, "b")
			fmt.Fprintf(&text, "  - {name: l%d, a: %s, b: %s}\n", i, a, b)
			w.add(filepath.Join(dir, a), filepath.Join(dir, b))
		}
		config := filepath.Join(dir, "links.yaml")
		w.commands = [][]string{{program, "-c", config}}
		return w, os.WriteFile(config, []byte(text.String()), 0o600)
	}
	return contender{name: name, kind: hub, version: []string{program, "version"}, lay: lay}
}

// newSocat is socat as the hub's users would run it without the hub: with its default options.
func newSocat(program string) contender {
	lay := func(dir string, n int) (*wires, error) {
		w := &wires{dir: dir}
		for i := range n {
			a, b := filepath.Join(dir, fmt.Sprint(i, "a")), filepath.Join(dir, fmt.Sprint(i, "b"))
			w.commands = append(w.commands, []string{program, "UNIX-LISTEN:" + a, "UNIX-LISTEN:" + b})
			w.add(a, b)
		}
		return w, nil
	}
	return contender{name: "socat", kind: socat, version: []string{program, "-V"}, lay: lay}
}

// newDirect is what no relay can beat: the clients inherit the two ends of a socketpair.
func newDirect() contender {
	lay := func(dir string, n int) (*wires, error) {
		w := &wires{dir: dir}
		for range n {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return w, os.NewSyscallError("socketpair", err)
			}
			for side, fd := range pair {
				w.files[side] = append(w.files[side], os.NewFile(uintptr(fd), "socketpair"))
			}
		}
		return w, nil
	}
	return contender{name: "direct", kind: direct, lay: lay}
}
