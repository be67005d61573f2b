package client

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// Address is where a hub may be: what net.Dial takes, and whether TLS is spoken there.
type Address struct {
	Network, Address string
	TLS              bool
}

func (a Address) String() string {
	switch {
	case a.Network == "unix":
		return "unix:" + a.Address
	case a.TLS:
		return "https://" + a.Address
	default:
		return a.Address
	}
}

// Default is where a hub is that nothing else is said of.
func Default() Address { return Address{Network: "tcp", Address: "127.0.0.1:7373"} }

// ParseAddress reads host:port, which may have http:// before it, https://host:port or tls:host:port, or unix:/path. A relative path is taken from the folder that the
// program is in.
func ParseAddress(text string) (Address, error) {
	if rest, isUnix := strings.CutPrefix(text, "unix:"); isUnix {
		return parseUnix(text, rest)
	}
	switch {
	case text == "":
		return Address{}, errors.New("the address of the hub is empty; write host:port or unix:/path")
	case strings.HasPrefix(text, "/"):
		return Address{}, fmt.Errorf("%q: write unix:%[1]s for a unix socket", text)
	}
	rest, secure := strings.TrimPrefix(text, "http://"), false
	for _, scheme := range []string{"https://", "tls:"} {
		if after, found := strings.CutPrefix(text, scheme); found {
			rest, secure = after, true
		}
	}
	host, port, err := net.SplitHostPort(strings.TrimSuffix(rest, "/"))
	if err != nil {
		return Address{}, fmt.Errorf("%q is not host:port (such as 127.0.0.1:7373), https://host:port or unix:/path", text)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return Address{}, fmt.Errorf("%q: the port must be a number from 1 to 65535", text)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return Address{Network: "tcp", Address: net.JoinHostPort(host, port), TLS: secure}, nil
}

func parseUnix(text, rest string) (Address, error) {
	if path, isURL := strings.CutPrefix(rest, "//"); isURL && strings.HasPrefix(path, "/") {
		rest = path
	}
	if rest == "" {
		return Address{}, fmt.Errorf("%q names no file; write unix:/path", text)
	}
	path, err := filepath.Abs(rest)
	if err != nil {
		return Address{}, fmt.Errorf("%q: %w", text, err)
	}
	return Address{Network: "unix", Address: path}, nil
}
