// Package address reads and writes the addresses at which the ends of a link are found.
package address

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Kind is what is found at an address.
type Kind string

// The kinds of addresses.
const (
	Unix   Kind = "unix"   // a stream socket: a file, or a name in the kernel's abstract namespace
	TCP    Kind = "tcp"    // a host and a port
	TLS    Kind = "tls"    // likewise, with TLS on top
	VSock  Kind = "vsock"  // a context and a port, of vsock(7)
	PTY    Kind = "pty"    // the path of a link to a pseudo-terminal
	Device Kind = "device" // the path of a serial port
)

// MaxUnixPath is the longest path, in bytes, that fits into sun_path of unix(7) with its final NUL.
const MaxUnixPath = 107

// The longest path and name of a file, in bytes: PATH_MAX of linux/limits.h without the final NUL, and NAME_MAX.
const (
	maxPath = 4095
	maxName = 255
)

// Address names one end of a link. The zero Address is no address. Addresses are comparable: two that are equal name the same thing.
type Address struct {
	kind Kind
	name string // a cleaned path; "@" and an abstract name; host:port as net.SplitHostPort takes it; or cid:port
}

// Parse reads what can be listened on or connected to: "/path", "unix:/path", "unix:///path", "unix:@name", "tcp:host:port",
// "tls:host:port" or "vsock:cid:port". A relative path is taken from dir, which is the folder of the file that the address was
// written in.
func Parse(text, dir string) (Address, error) {
	scheme, rest := split(text)
	if strings.ContainsRune(rest, 0) {
		return Address{}, errors.New("an address cannot contain a NUL byte")
	}
	switch Kind(scheme) {
	case "":
		switch {
		case strings.HasPrefix(text, "@"):
			return Address{}, fmt.Errorf("%q: write unix:%s for a socket in the abstract namespace", text, text)
		case strings.HasPrefix(text, ":"):
			return Address{}, noKind(text, "there is no kind of address before the colon")
		}
		return parseUnix(text, rest, dir)
	case Unix:
		return parseUnix(text, rest, dir)
	case TCP, TLS:
		return parseHostPort(Kind(scheme), text, rest)
	case VSock:
		return parseVSock(text, rest)
	case PTY, Device, "listen", "connect":
		return Address{}, fmt.Errorf("%q: write {%s: %s}", text, scheme, strings.TrimLeft(rest, " "))
	default:
		return Address{}, noKind(text, fmt.Sprintf("%q is not a kind of address known here", scheme))
	}
}

// noKind is the error of an address that has a colon, but no known kind before it.
func noKind(text, why string) error {
	right := "a path, unix:/path, unix:@name, tcp:host:port, tls:host:port or vsock:cid:port"
	if addr, err := readHostPort(TCP, text); err == nil {
		right = addr.String()
	} else if meant := guess(TCP, text); meant != "" {
		right = meant
	}
	return fmt.Errorf("%q: %s; write %s (or ./%s for a socket's file of that name)", text, why, right, text)
}

// ParseFile reads the path of a pseudo-terminal's link, or of a serial port.
func ParseFile(kind Kind, text, dir string) (Address, error) {
	if strings.ContainsRune(text, 0) {
		return Address{}, errors.New("a path cannot contain a NUL byte")
	}
	if scheme, rest := split(text); scheme != "" {
		return Address{}, fmt.Errorf("%q: write the path alone, {%s: %s} (or ./%s for a file of that name)", text, kind, rest, text)
	}
	path, err := parsePath(text, text, dir)
	if err != nil {
		return Address{}, err
	}
	if kind == Device && !strings.Contains(text, "/") {
		return Address{}, fmt.Errorf("%q would be a file in %s; write /dev/%[3]s (or ./%[3]s for a file of that name)", text, dir, text)
	}
	if len(path) > maxPath {
		return Address{}, fmt.Errorf("the path is %d bytes long, and can have %d", len(path), maxPath)
	}
	for name := range strings.SplitSeq(path, "/") {
		if len(name) > maxName {
			return Address{}, fmt.Errorf("the name %.20s… is %d bytes long, and can have %d", name, len(name), maxName)
		}
	}
	return Address{kind: kind, name: path}, nil
}

// split takes the scheme off an address; a path has none.
func split(text string) (scheme, rest string) {
	if strings.HasPrefix(text, "/") || strings.HasPrefix(text, "./") || strings.HasPrefix(text, "../") {
		return "", text
	}
	scheme, rest, found := strings.Cut(text, ":")
	if !found {
		return "", text
	}
	return scheme, rest
}

// parseUnix reads the part of a unix address behind its scheme.
func parseUnix(text, rest, dir string) (Address, error) {
	if host, isURL := strings.CutPrefix(rest, "//"); isURL && strings.HasPrefix(text, "unix:") {
		if !strings.HasPrefix(host, "/") {
			return Address{}, fmt.Errorf("%q names a host; a unix socket has none: write unix:/path", text)
		}
		rest = host
	}
	path := rest
	if name, abstract := strings.CutPrefix(rest, "@"); abstract {
		if name == "" {
			return Address{}, errors.New(`an abstract address needs a name after "@"`)
		}
	} else {
		var err error
		if path, err = parsePath(text, rest, dir); err != nil {
			return Address{}, err
		}
	}
	if len(path) > MaxUnixPath {
		return Address{}, fmt.Errorf("%q is %d bytes long, a socket's path can have %d; choose a shorter folder, such as /run/serialhub",
			path, len(path), MaxUnixPath)
	}
	return Address{kind: Unix, name: path}, nil
}

// parsePath makes a path absolute and clean.
func parsePath(text, path, dir string) (string, error) {
	if path == "" {
		return "", errors.New("the address is empty; write a path, such as /run/serialhub/dbg-a")
	}
	if strings.HasPrefix(path, "~") || strings.HasPrefix(path, "$") {
		return "", fmt.Errorf("%q: ~ and variables are not expanded; write the path in full (or ./%s for a file of that name)", text, path)
	}
	if base := path[strings.LastIndex(path, "/")+1:]; base == "" || base == "." || base == ".." {
		return "", fmt.Errorf("%q names a folder; write the path of a file in it", text)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return filepath.Clean(path), nil
}

// Kind is what is found at the address; "" for the zero Address.
func (a Address) Kind() Kind { return a.kind }

// String gives the address as it is written, always with its scheme; a pseudo-terminal and a serial port have none.
func (a Address) String() string {
	switch a.kind {
	case "", PTY, Device:
		return a.name
	default:
		return string(a.kind) + ":" + a.name
	}
}

// Path returns the file at the address; "" for an abstract socket, and for all that have none.
func (a Address) Path() string {
	switch {
	case a.kind == PTY, a.kind == Device, a.kind == Unix && !strings.HasPrefix(a.name, "@"):
		return a.name
	default:
		return ""
	}
}

// SocketName returns what connect(2) and bind(2) take for a unix socket: the path, or "@" and the abstract name
// (both Go's net and x/sys/unix turn that "@" into the NUL that the kernel wants).
func (a Address) SocketName() string { return a.name }
