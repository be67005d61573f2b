package qemu

import (
	"net"
	"strings"
)

// options are the keys and values of one word of a command line, such as socket,id=c0,path=/run/a,server=on.
type options []pair

type pair struct{ key, value string }

// parseOptions reads them in QEMU's way: a comma in a value is written twice; the first value may stand alone, and is that of the key first; a word without
// a value is on, and one that begins with no is off.
func parseOptions(text, first string) options {
	var all options
	for i, word := range splitOptions(text) {
		key, value, given := strings.Cut(word, "=")
		switch {
		case given:
		case i == 0 && first != "":
			key, value = first, word
		default:
			value = "on"
			if off, no := strings.CutPrefix(key, "no"); no && (off == "wait" || off == "delay" || off == "telnet" || off == "server") {
				key, value = off, "off"
			}
		}
		all = append(all, pair{key, value})
	}
	return all
}

// splitOptions splits at the commas that are not written twice.
func splitOptions(text string) []string {
	var words []string
	var word strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] != ',':
			word.WriteByte(text[i])
		case i+1 < len(text) && text[i+1] == ',':
			word.WriteByte(',')
			i++
		default:
			words = append(words, word.String())
			word.Reset()
		}
	}
	return append(words, word.String())
}

// get is the last value of a key; "" if it is not there.
func (o options) get(key string) string {
	for i := len(o) - 1; i >= 0; i-- {
		if o[i].key == key {
			return o[i].value
		}
	}
	return ""
}

func (o options) is(key string) bool {
	switch o.get(key) {
	case "on", "yes", "true", "y":
		return true
	default:
		return false
	}
}

// socket reads the keys that -chardev socket and -serial unix: and tcp: share.
func (o options) socket() Socket {
	s := Socket{
		Kind: "tcp", Path: o.get("path"), Host: o.get("host"), Port: o.get("port"),
		TLS: o.get("tls-creds") != "", Server: o.is("server"), Passed: o.get("fd") != "", Mux: o.is("mux"),
	}
	if s.Path != "" {
		s.Kind = "unix"
		if o.is("abstract") {
			s.Path = "@" + s.Path
		}
	}
	if o.is("telnet") {
		s.Kind = "telnet"
	}
	for _, key := range []string{"reconnect", "reconnect-ms"} {
		if value := o.get(key); value != "" && strings.Trim(value, "0") != "" {
			s.Reconnect = !s.Server
		}
	}
	return s
}

// parseLegacy reads what -serial, -monitor and -qmp take, if it is a socket.
func parseLegacy(value string) (Socket, bool) {
	kind, rest, found := strings.Cut(value, ":")
	if !found {
		return Socket{}, false
	}
	switch kind {
	case "unix":
		o := parseOptions(rest, "path")
		return o.socket(), true
	case "tcp", "telnet":
		o := parseOptions(rest, "address")
		s := o.socket()
		s.Kind = kind
		host, port, err := net.SplitHostPort(o.get("address"))
		if err != nil {
			return Socket{}, false
		}
		s.Host, s.Port = host, port
		return s, true
	default:
		return Socket{}, false
	}
}
