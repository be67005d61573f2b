package doctor

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"serialhub/internal/address"
	"serialhub/internal/config"
	"serialhub/internal/qemu"
	"serialhub/internal/rest"
)

// end is one end of a link: as the hub tells of it if one runs, and as the file does if that can be read.
type end struct {
	link, name string // of the link, and a or b
	way        string // listen, connect, pty or device
	address    address.Address
	config     *config.End // nil if the file cannot be read, or has no such end at this address
	live       *rest.End   // nil if no hub runs, or it has no such end
	disabled   bool        // or stopped: it does not run
}

// endsOf lists the ends that are to be looked at.
func endsOf(p Patient) (ends []end) {
	wanted := func(name string) bool { return len(p.Only) == 0 || slices.Contains(p.Only, name) }
	if p.Status == nil && p.Config != nil {
		for _, link := range p.Config.Links {
			if !wanted(link.Name) {
				continue
			}
			for i, e := range link.Ends() {
				ends = append(ends, end{link: link.Name, name: sides[i], way: e.Way(), address: e.Address, config: &e, disabled: link.Disabled})
			}
		}
		return ends
	}
	for _, link := range p.Links {
		if !wanted(link.Name) {
			continue
		}
		for _, side := range sides {
			live, there := link.Ends[side]
			if !there {
				continue
			}
			e := end{link: link.Name, name: side, way: string(live.Mode), live: &live, disabled: link.State == rest.LinkStopped, address: parse(live)}
			e.config = configured(p.Config, e)
			ends = append(ends, e)
		}
	}
	return ends
}

var sides = [2]string{"a", "b"}

// parse reads an address of the API. One that cannot be read is zero, and there is nothing to be looked at.
func parse(live rest.End) address.Address {
	var a address.Address
	switch live.Mode {
	case rest.ModePTY:
		a, _ = address.ParseFile(address.PTY, live.Address, "/")
	case rest.ModeDevice:
		a, _ = address.ParseFile(address.Device, live.Address, "/")
	default:
		a, _ = address.Parse(live.Address, "/")
	}
	return a
}

// configured finds what the file says of an end that runs.
func configured(c *config.Config, e end) *config.End {
	if c == nil {
		return nil
	}
	for _, link := range c.Links {
		if link.Name != e.link {
			continue
		}
		for i, said := range link.Ends() {
			if sides[i] == e.name && said.Address == e.address {
				return &said
			}
		}
	}
	return nil
}

// open tells whether the hub has the end open.
func (e end) open() bool {
	return e.live != nil && (e.live.State == rest.EndWaiting || e.live.State == rest.EndConnected)
}

// failing tells whether the end is not as it should be, or nobody knows: no hub runs.
func (e end) failing() bool { return !e.disabled && !e.open() }

func (e end) String() string { return fmt.Sprintf("end %s (%s)", e.name, e.address) }

// isFile tells whether peers find the end by a file of the hub's.
func (e end) isFile() bool {
	return e.address.Path() != "" && (e.way == "listen" || e.way == "pty")
}

// socketUnit is the packaged unit that makes the end's socket, if it has the path of one; "" if not.
func (e end) socketUnit() string {
	if name := e.link + "." + e.name; e.address.Path() == "/run/serialhub-"+name {
		return "serialhub@" + name + ".socket"
	}
	return ""
}

// host and port of a TCP or TLS end.
func (e end) hostPort() (host, port string, ok bool) {
	if e.address.Kind() != address.TCP && e.address.Kind() != address.TLS {
		return "", "", false
	}
	host, port, err := net.SplitHostPort(e.address.SocketName())
	return host, port, err == nil
}

// named tells whether a socket of a QEMU's command line is the end's address.
func (e end) named(s qemu.Socket) bool {
	if e.address.Kind() == address.Unix {
		return s.Path != "" && (s.Path == e.address.SocketName() || e.address.Path() != "" && filepath.IsAbs(s.Path) && inFolder(s.Path) == inFolder(e.address.Path()))
	}
	host, port, ok := e.hostPort()
	if !ok || s.Path != "" || s.Port != port || port == "" {
		return false
	}
	// A hub that listens at an address of this machine is found by each of its names.
	return host == s.Host || isLocal(s.Host) && (host == "" || isLocal(host) || isAny(host))
}

// inFolder is the path with its folder's real name, such as /run/a for /var/run/a.
func inFolder(path string) string {
	path = filepath.Clean(path)
	if folder, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(folder, filepath.Base(path))
	}
	return path
}

func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || host == "" || ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
}

func isAny(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// mentions tells whether a word of a command line has the path as a whole, such as UNIX-CONNECT:/run/a.
func mentions(word, path string) bool {
	for from := 0; ; {
		at := strings.Index(word[from:], path)
		if at < 0 {
			return false
		}
		at += from
		after := at + len(path)
		before := at == 0 || strings.IndexByte(`:=,"' `, word[at-1]) >= 0
		if before && (after == len(word) || strings.IndexByte(`,"' `, word[after]) >= 0) {
			return true
		}
		from = at + 1
	}
}
