package config

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"serialhub/internal/address"
)

func (c *checker) apiAddresses(texts []string) []APIAddress {
	if len(texts) == 1 && texts[0] == "none" {
		return nil
	}
	var list []APIAddress
	for _, text := range texts {
		if a, err := c.apiAddress(text); err != nil {
			c.add("api.listen", "%s", err)
		} else {
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
		c.used[parsed] = "api.listen"
		return APIAddress{Network: "unix", Address: parsed.Path()}, nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return APIAddress{}, fmt.Errorf("%q is not host:port (such as 127.0.0.1:7373), unix:/path or none", text)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return APIAddress{}, fmt.Errorf("%q: the port must be a number from 0 to 65535", text)
	} else if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return APIAddress{}, fmt.Errorf("%q is not a loopback address; whoever reaches the API can reset links, so write 127.0.0.1:%d, and forward that port by ssh to reach it from elsewhere", text, n)
	}
	return APIAddress{Network: "tcp", Address: text}, nil
}
