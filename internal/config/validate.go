package config

import (
	"fmt"
	"log/slog"
	"regexp"
	"strconv"

	"serialhub/internal/address"
)

// linkName is what a link may be called: it stands in URLs, file names and the names of descriptors.
var linkName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// checker turns a file as it is written into a Config, and notes every value that cannot be.
type checker struct {
	*findings
	dir   string                     // where relative paths start
	names map[string]string          // of links, with the key that uses them
	used  map[address.Address]string // likewise
}

func validate(written *fileEntry, dir string, found *findings) *Config {
	c := &checker{findings: found, dir: dir, names: map[string]string{}, used: map[address.Address]string{}}
	config := &Config{API: API{Listen: c.apiAddresses(written.API.Listen)}}
	var err error
	if config.Log.Level, err = ParseLevel(written.Log.Level); err != nil {
		c.add("log.level", "%s", err)
	}
	if config.Log.Format, err = ParseFormat(written.Log.Format); err != nil {
		c.add("log.format", "%s", err)
	}
	if written.Links == nil {
		c.add("links", "the key is missing; write “links: []” for a hub without links")
	}
	// What the defaults say is checked once, and where it stands, whether or not a link uses it.
	defaults := builtin()
	c.behave(&defaults, written.Defaults, "defaults")
	for i, entry := range written.Links {
		key := fmt.Sprintf("links[%d]", i)
		link := defaults
		link.Name = entry.Name
		c.checkName(entry.Name, key)
		link.A, link.B = c.end(entry.A, key+".a"), c.end(entry.B, key+".b")
		c.behave(&link, entry.behaviourEntry, key)
		config.Links = append(config.Links, link)
	}
	return config
}

func (c *checker) checkName(name, link string) {
	key := link + ".name"
	switch {
	case name == "":
		c.add(key, "a link needs a name")
	case !linkName.MatchString(name):
		c.add(key, "%q is not a name: 1 to 63 of A-Z a-z 0-9 . _ -, the first a letter or a digit", name)
	case c.names[name] != "":
		c.add(key, "%q is already the name of %s; names are unique", name, c.names[name])
	default:
		c.names[name] = link
	}
}

func (c *checker) end(entry *endEntry, key string) End {
	if entry == nil || entry.Listen == "" {
		c.add(key, "the end is missing; write the path of a socket, such as %s: /run/serialhub/dbg-%[1]s", key[len(key)-1:])
		return End{}
	}
	end := End{
		Mode:     0o600,
		Owner:    string(entry.Owner),
		Group:    string(entry.Group),
		WhenBusy: BusyReject,
	}
	var err error
	end.Address, err = address.Parse(entry.Listen, c.dir)
	switch {
	case err != nil:
		c.add(key, "%s", err)
	case c.used[end.Address] != "":
		c.add(key, "%s is already the address of %s; each end needs its own", end.Address, c.used[end.Address])
	default:
		c.used[end.Address] = key
	}
	if entry.Mode != "" {
		mode, err := strconv.ParseUint(entry.Mode, 8, 32)
		if err != nil || mode > 0o777 {
			c.add(key+".mode", `%q is not a mode of a file, such as "0660"`, entry.Mode)
		}
		end.Mode = uint32(mode)
	}
	for _, file := range []struct{ key, value string }{{"mode", entry.Mode}, {"owner", end.Owner}, {"group", end.Group}} {
		if file.value != "" && err == nil && end.Address.Path() == "" {
			c.add(key+"."+file.key, "an abstract socket has no file; allow_uids can say who may connect")
		}
	}
	for _, id := range []struct{ key, value string }{{"owner", end.Owner}, {"group", end.Group}} {
		if n, err := strconv.Atoi(id.value); err == nil && (n < 0 || n > 1<<32-2) {
			c.add(key+"."+id.key, "%d is not the number of a user or a group", n)
		}
	}
	for i, uid := range entry.AllowUIDs {
		if uid < 0 || uid > 1<<32-2 {
			c.add(fmt.Sprintf("%s.allow_uids[%d]", key, i), "%d is not a uid", uid)
		}
	}
	end.AllowUIDs = entry.AllowUIDs
	if entry.WhenBusy != "" {
		end.WhenBusy = oneOf(c, key+".when_busy", entry.WhenBusy, BusyReject, BusyReplace, BusyQueue)
	}
	return end
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
