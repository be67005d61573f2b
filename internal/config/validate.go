package config

import (
	"fmt"
	"log/slog"
	"regexp"
)

// linkName is what a link may be called: it stands in URLs, file names and the names of descriptors.
var linkName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// checker turns a file as it is written into a Config, and notes every value that cannot be.
type checker struct {
	*findings
	dir   string            // where relative paths start
	names map[string]string // of links, with the key that uses them
	used  claims
	logs  map[string]string // the files of transcripts, with the link that writes into each
	rules []rule            // which keys belong to which ends
	texts map[string]string // of the files that keys name, each read once
}

func newChecker(dir string, found *findings) *checker {
	return &checker{findings: found, dir: dir, names: map[string]string{}, used: claims{}, logs: map[string]string{}, rules: endRules(), texts: map[string]string{}}
}

func validate(written *fileEntry, dir string, found *findings) *Config {
	c := newChecker(dir, found)
	config := &Config{API: c.api(&written.API)}
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
	for i, entry := range written.Links {
		c.settle(&config.Links[i], entry.Transcript, fmt.Sprintf("links[%d]", i))
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
