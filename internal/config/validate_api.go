package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"serialhub/internal/address"
)

func (c *checker) api(entry *apiEntry) API {
	api := API{Listen: c.apiListeners(entry.Listen)}
	c.guarded(api.Listen)
	if c.has("api.token_file") {
		api.TokenFile = c.path(entry.TokenFile)
		api.Tokens = c.tokens("api.token_file", entry.TokenFile)
	}
	api.TLS = c.apiTLS(&entry.TLS)
	return api
}

// has tells whether the file or the environment says something of a key that the environment can override.
func (c *checker) has(key string) bool { return c.written(key) || c.env[key] != "" }

// apiListeners reads the addresses. One that cannot be used is left out.
func (c *checker) apiListeners(entries listenList) (list []APIListener) {
	if len(entries) == 1 && entries[0].Listen == "none" {
		return nil
	}
	for i, entry := range entries {
		key := c.listenKey(i)
		a, err := c.apiAddress(entry.Listen)
		switch {
		case err != nil:
			c.add(key, "%s", err)
		case slices.ContainsFunc(list, func(other APIListener) bool { return other.APIAddress == a }):
			c.add(key, "%s is in the list twice", a)
		default:
			c.claimAPI(a, key)
			list = append(list, c.apiListener(a, entry, key))
		}
	}
	return list
}

// listenKey is the key of an address in the list, as the file has it.
func (c *checker) listenKey(i int) string {
	if key := fmt.Sprintf("api.listen[%d]", i); c.written(key) && c.env["api.listen"] == "" {
		return key
	}
	return "api.listen"
}

// apiAddress reads host:port or unix:/path.
func (c *checker) apiAddress(text string) (APIAddress, error) {
	if strings.HasPrefix(text, "unix:") {
		parsed, err := address.Parse(text, c.dir)
		if err != nil {
			return APIAddress{}, err
		}
		if parsed.Path() == "" {
			return APIAddress{}, fmt.Errorf("%q: an abstract socket has no file mode to guard it; write unix:/path", text)
		}
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
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.String()
	} else if _, err := address.Parse("tcp:"+net.JoinHostPort(host, "1"), c.dir); err != nil {
		return APIAddress{}, fmt.Errorf("%q: %q is neither an IP address nor the name of a host", text, host)
	}
	return APIAddress{Network: "tcp", Address: net.JoinHostPort(host, strconv.FormatUint(n, 10))}, nil
}

// claimAPI takes an address for the API, so that no end can have it.
func (c *checker) claimAPI(a APIAddress, key string) {
	text := a.String()
	if a.Network != "unix" {
		text = "tcp:" + text
	}
	parsed, err := address.Parse(text, c.dir)
	if err != nil {
		return // port 0 is whichever is free, and no address
	}
	if holder, same := c.used.take(parsed, true, "api.listen"); holder != "" && !same {
		c.add(key, "%s takes the port of another address in the list, too", a)
	}
}

// apiListener reads what is said of an address in the long form.
func (c *checker) apiListener(a APIAddress, entry listenEntry, key string) APIListener {
	l := APIListener{APIAddress: a}
	if a.Network != "unix" {
		for _, name := range []string{"mode", "owner", "group", "allow_uids"} {
			if c.written(key + "." + name) {
				c.unfit(key+"."+name, "does not go with %s: it is for unix:/path; on TCP, api.token_file and api.tls say who may call", a)
			}
		}
		return l
	}
	l.Mode, l.Owner, l.Group = 0o600, string(entry.Owner), string(entry.Group)
	if c.written(key + ".mode") {
		l.Mode = c.mode(key+".mode", entry.Mode)
	}
	c.ids(key, l.Owner, l.Group)
	l.AllowUIDs = c.uids(key, entry.AllowUIDs)
	return l
}

// guarded notes addresses that other machines may reach, while nothing says who may call.
func (c *checker) guarded(list []APIListener) {
	if c.has("api.token_file") || c.has("api.tls.client_ca") {
		return
	}
	for i, l := range list {
		host, port, err := net.SplitHostPort(l.Address)
		if l.Network == "unix" || err != nil {
			continue
		}
		if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
			continue
		}
		c.add(c.listenKey(i), "%q is not a loopback address, and whoever reaches the API can reset links; write api.token_file: FILE, with a token such as the output of “openssl rand -hex 32”, or api.tls with a client_ca; or write 127.0.0.1:%s, and forward that port by ssh", l.Address, port)
	}
}

// apiTLS reads the certificates of the API.
func (c *checker) apiTLS(entry *apiTLSEntry) (t APITLS) {
	const key = "api.tls"
	hasCert, hasKey, hasCA := c.has(key+".cert"), c.has(key+".key"), c.has(key+".client_ca")
	switch {
	case hasCert && hasKey:
		t.Cert, t.Key = c.keyPair(key, entry.Cert, entry.Key)
	case hasCert:
		c.add(key+".key", "is missing; cert and key go together")
	case hasKey:
		c.add(key+".cert", "is missing; cert and key go together")
	case hasCA || c.written(key):
		c.add(key, "to speak TLS takes a certificate; write {cert: FILE, key: FILE}")
	}
	if hasCA {
		t.CA = c.authorities(key+".client_ca", entry.ClientCA)
	}
	return t
}
