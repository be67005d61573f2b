package config

import (
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"strconv"
	"strings"

	"serialhub/internal/address"
)

// linkName is what a link may be called: it stands in URLs, file names and the names of descriptors.
var linkName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// validate turns the file as it is written into a Config and notes every value that cannot be.
func validate(written *fileEntry, dir string, found *findings) *Config {
	used := map[address.Address]string{}
	config := &Config{API: API{Listen: apiAddresses(written.API.Listen, dir, used, found)}}
	var err error
	if config.Log.Level, err = ParseLevel(written.Log.Level); err != nil {
		found.add("log.level", "%s", err)
	}
	if config.Log.Format, err = ParseFormat(written.Log.Format); err != nil {
		found.add("log.format", "%s", err)
	}
	if written.Links == nil {
		found.add("links", "the key is missing; write “links: []” for a hub without links")
	}
	names := map[string]string{}
	for i, entry := range written.Links {
		key := fmt.Sprintf("links[%d]", i)
		checkName(entry.Name, key+".name", names, found)
		config.Links = append(config.Links, Link{
			Name: entry.Name,
			A:    end(entry.A, key+".a", dir, used, found),
			B:    end(entry.B, key+".b", dir, used, found),
		})
	}
	return config
}

func checkName(name, key string, names map[string]string, found *findings) {
	switch {
	case name == "":
		found.add(key, "a link needs a name")
	case !linkName.MatchString(name):
		found.add(key, "%q is not a name: 1 to 63 of A-Z a-z 0-9 . _ -, the first a letter or a digit", name)
	case names[name] != "":
		found.add(key, "%q is already the name of %s; names are unique", name, names[name])
	default:
		names[name] = key[:len(key)-len(".name")]
	}
}

func end(entry *endEntry, key, dir string, used map[address.Address]string, found *findings) End {
	if entry == nil || entry.Listen == "" {
		found.add(key, "the end is missing; write the path of a socket, such as %s: /run/serialhub/dbg-%s", key[len(key)-1:], key[len(key)-1:])
		return End{}
	}
	listen, err := address.Parse(entry.Listen, dir)
	switch {
	case err != nil:
		found.add(key, "%s", err)
	case used[listen] != "":
		found.add(key, "%s is already the address of %s; each end needs its own", listen, used[listen])
	default:
		used[listen] = key
	}
	return End{Listen: listen}
}

// ParseLevel reads debug, info, warn or error.
func ParseLevel(text string) (slog.Level, error) {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	level, known := levels[text]
	if !known {
		return 0, fmt.Errorf("%q is none of debug, info, warn, error", text)
	}
	return level, nil
}

// ParseFormat reads text or json.
func ParseFormat(text string) (string, error) {
	if text != "text" && text != "json" {
		return "", fmt.Errorf("%q is neither text nor json", text)
	}
	return text, nil
}

func apiAddresses(texts []string, dir string, used map[address.Address]string, found *findings) []APIAddress {
	if len(texts) == 1 && texts[0] == "none" {
		return nil
	}
	var list []APIAddress
	for _, text := range texts {
		if a, err := apiAddress(text, dir, used); err != nil {
			found.add("api.listen", "%s", err)
		} else {
			list = append(list, a)
		}
	}
	return list
}

// apiAddress reads host:port, which must be loopback (whoever reaches the API can reset links), or unix:/path.
func apiAddress(text, dir string, used map[address.Address]string) (APIAddress, error) {
	if strings.HasPrefix(text, "unix:") {
		parsed, err := address.Parse(text, dir)
		if err != nil {
			return APIAddress{}, err
		}
		if parsed.Path() == "" {
			return APIAddress{}, fmt.Errorf("%q: an abstract socket has no file mode to guard it; write unix:/path", text)
		}
		used[parsed] = "api.listen"
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
