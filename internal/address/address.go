// Package address reads and writes the addresses at which the ends of a link are found.
package address

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// MaxUnixPath is the longest path, in bytes, that fits into sun_path of unix(7) with its final NUL.
const MaxUnixPath = 107

// Address names a unix stream socket: a file, or a name in the kernel's abstract namespace.
// The zero Address is no address. Addresses are comparable: two that are equal name the same socket.
type Address struct {
	path string // a cleaned path, or "@" and an abstract name
}

// Parse reads "/path", "unix:/path", "unix:///path" or "unix:@name". A relative path is taken
// from dir, which is the folder of the file that the address was written in.
func Parse(text, dir string) (Address, error) {
	rest, err := unixPart(text)
	if err != nil {
		return Address{}, err
	}
	if strings.ContainsRune(rest, 0) {
		return Address{}, errors.New("an address cannot contain a NUL byte")
	}
	path := rest
	if name, abstract := strings.CutPrefix(rest, "@"); abstract {
		if name == "" {
			return Address{}, errors.New(`an abstract address needs a name after "@"`)
		}
	} else {
		if rest == "" {
			return Address{}, errors.New("the address is empty; write the path of a socket, such as /run/serialhub/dbg-a")
		}
		if strings.HasPrefix(rest, "~") || strings.HasPrefix(rest, "$") {
			return Address{}, fmt.Errorf("%q: ~ and variables are not expanded; write the path in full (or ./%s for a file of that name)", text, rest)
		}
		if base := rest[strings.LastIndex(rest, "/")+1:]; base == "" || base == "." || base == ".." {
			return Address{}, fmt.Errorf("%q names a folder; write the path of a socket in it", text)
		}
		if !filepath.IsAbs(rest) {
			path = filepath.Join(dir, rest)
		}
		path = filepath.Clean(path)
	}
	if len(path) > MaxUnixPath {
		return Address{}, fmt.Errorf("%q is %d bytes long, a socket's path can have %d; choose a shorter folder, such as /run/serialhub",
			path, len(path), MaxUnixPath)
	}
	return Address{path: path}, nil
}

// unixPart takes the scheme off an address.
func unixPart(text string) (string, error) {
	if strings.HasPrefix(text, "/") || strings.HasPrefix(text, "./") || strings.HasPrefix(text, "../") {
		return text, nil
	}
	scheme, rest, found := strings.Cut(text, ":")
	if !found {
		if strings.HasPrefix(text, "@") {
			return "", fmt.Errorf("%q: write unix:%s for a socket in the abstract namespace", text, text)
		}
		return text, nil
	}
	if scheme != "unix" {
		return "", fmt.Errorf("%q: %q is not a kind of address known here; write a path, unix:/path or unix:@name", text, scheme)
	}
	if host, isURL := strings.CutPrefix(rest, "//"); isURL {
		if !strings.HasPrefix(host, "/") {
			return "", fmt.Errorf("%q names a host; a unix socket has none: write unix:/path", text)
		}
		return host, nil
	}
	return rest, nil
}

// String gives the address as Parse reads it, always with its scheme; "" for the zero Address.
func (a Address) String() string {
	if a.path == "" {
		return ""
	}
	return "unix:" + a.path
}

// Path returns the socket's file, or "" for an abstract socket, which has none.
func (a Address) Path() string {
	if strings.HasPrefix(a.path, "@") {
		return ""
	}
	return a.path
}

// SocketName returns what connect(2) and bind(2) take: the path, or "@" and the abstract name
// (both Go's net and x/sys/unix turn that "@" into the NUL that the kernel wants).
func (a Address) SocketName() string { return a.path }
