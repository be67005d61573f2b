package config

import (
	"strings"

	"serialhub/internal/address"
)

// rule says which ends some keys belong to.
type rule struct {
	keys string // with blanks between them
	fits func(End) bool
	says string // where they belong, or what to write instead
}

// endRules are all of them. Of those for one key, the first that an end breaks is told.
func endRules() []rule {
	return []rule{
		{"mode owner group", isNotAbstract, "an abstract socket has no file; allow_uids can say who may connect"},
		{"mode owner group", hasOwnFile, "it is for the file that the hub makes: with pty, or with listen: unix:/path"},
		{"allow_uids", isUnix, "it is for unix sockets; only there the kernel tells who the peer is"},
		{"when_busy", listens, "it is for listen; only there a second peer can come"},
		{"keepalive", overTCP, "it is for tcp and tls"},
		{"cert key client_ca ca server_name min_tls", isTLS, "it is for tls:host:port"},
		{"client_ca", listens, "it is for listen; write ca for who must have signed the server's certificate"},
		{"ca", connects, "it is for connect; write client_ca for who must have signed a client's certificate"},
		{"server_name", connects, "it is for connect; client_ca can say whose clients may connect"},
		{"baud data_bits parity stop_bits flow_control", isDevice, "it is for device"},
	}
}

func isNotAbstract(e End) bool { return !isUnix(e) || e.Address.Path() != "" }
func isUnix(e End) bool        { return e.Address.Kind() == address.Unix }
func isTLS(e End) bool         { return e.Address.Kind() == address.TLS }
func isDevice(e End) bool      { return e.Address.Kind() == address.Device }
func overTCP(e End) bool       { return e.Address.Kind() == address.TCP || isTLS(e) }
func connects(e End) bool      { return e.Way() == "connect" }
func listens(e End) bool       { return e.Address != address.Address{} && e.Way() == "listen" }

func hasOwnFile(e End) bool {
	return e.Way() == "pty" || e.Way() == "listen" && isUnix(e) && e.Address.Path() != ""
}

// checkKeys notes the keys that do not belong to such an end.
func (c *checker) checkKeys(end End, key string) {
	for _, rule := range c.rules {
		if rule.fits(end) {
			continue
		}
		for name := range strings.FieldsSeq(rule.keys) {
			if c.written(key + "." + name) {
				c.unfit(key+"."+name, "does not go with “%s: %s”: %s", end.Way(), end.Address, rule.says)
			}
		}
	}
}
