package config

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"serialhub/internal/address"
)

func (c *checker) apiAddresses(texts []string) []APIAddress {
	if len(texts) == 1 && texts[0] == "none" {
		return nil
	}
	var list []APIAddress
	for i, text := range texts {
		key := fmt.Sprintf("api.listen[%d]", i)
		if !c.written(key) || c.env["api.listen"] != "" {
			key = "api.listen"
		}
		a, err := c.apiAddress(text)
		switch {
		case err != nil:
			c.add(key, "%s", err)
		case slices.Contains(list, a):
			c.add(key, "%s is in the list twice", a)
		default:
			list = append(list, a)
		}
	}
	return list
}

// apiAddress reads host:port, which must be loopback (whoever reaches the API can reset links), or unix:/path.
func (c *checker) apiAddress(text string) (APIAddress, error) {
	if strings.HasPrefix(text, "unix:") {
		parsed, err := address.Parse(text, c.dir)
		if err != nil {
			return APIAddress{}, err
		}
		if parsed.Path() == "" {
			return APIAddress{}, fmt.Errorf("%q: an abstract socket has no file mode to guard it; write unix:/path", text)
		}
		c.used.take(parsed, true, "api.listen")
		return APIAddress{Network: "unix", Address: parsed.Path()}, nil
	}
	switch {
	case text == "none":
		return APIAddress{}, errors.New(`"none" stands alone, not in a list`)
	case strings.HasPrefix(text, "/"):
		return APIAddress{}, fmt.Errorf("%q: write unix:%[1]s for a unix socket", text)
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return APIAddress{}, fmt.Errorf("%q is not host:port (such as 127.0.0.1:7373), unix:/path or none", text)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return APIAddress{}, fmt.Errorf("%q: the port must be a number from 0 to 65535", text)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	ip := net.ParseIP(host)
	if ip == nil || !ip.IsLoopback() {
		return APIAddress{}, fmt.Errorf("%q is not a loopback address; whoever reaches the API can reset links, so write 127.0.0.1:%d, and forward that port by ssh to reach it from elsewhere", text, n)
	}
	a := APIAddress{Network: "tcp", Address: net.JoinHostPort(ip.String(), strconv.FormatUint(n, 10))}
	if parsed, err := address.Parse("tcp:"+a.Address, c.dir); err == nil { // port 0 is whichever is free, and no address
		c.used.take(parsed, true, "api.listen")
	}
	return a, nil
}
