package config

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxScrollback is the largest scrollback, and minScrollback the smallest that is of any use. It is memory that the hub needs.
const (
	minScrollback = 1 << 10
	maxScrollback = 16 << 20
)

// A file that is rotated is large enough not to be many, and no larger than file systems take.
const (
	minRotated = 4 << 10
	maxRotated = 1 << 40
)

// The ages that can be meant.
const (
	minAge  = time.Second
	maxDays = 36500
)

// The longest path and name of a file, in bytes. Rotation makes longer names of them, which have to stay below PATH_MAX and NAME_MAX.
const (
	maxTranscriptPath = 4000
	maxTranscriptName = 200
)

const directionBoth = "both"

// noTranscript is written in the place of a file, where a link is to have no transcript.
const noTranscript = "none"

// builtinTranscript is one of which nothing is said. It has no file, and so nothing is written.
func builtinTranscript() *Transcript {
	return &Transcript{
		Format: "text", Direction: directionBoth, Timestamps: true,
		MaxSize: 100 << 20, MaxAge: 30 * 24 * time.Hour, Keep: 10, Compress: "none",
	}
}

// transcript returns what a transcript becomes by what is written under key. It leaves was alone, which many links share.
func (c *checker) transcript(was *Transcript, entry *transcriptEntry, key string) *Transcript {
	t := *was
	if entry.File != nil {
		c.transcriptFile(&t, *entry.File, c.longOrShort(key, "file"))
	}
	if entry.Format != nil {
		t.Format = oneOf(c, key+".format", *entry.Format, "text", "raw", "hex", "json", "pcapng")
	}
	if entry.Direction != nil {
		t.Direction = oneOf(c, key+".direction", *entry.Direction, directionBoth, "a", "b")
	}
	if entry.Timestamps != nil {
		t.Timestamps = *entry.Timestamps
	}
	if entry.MaxSize != nil {
		t.MaxSize = c.size(key+".max_size", *entry.MaxSize, "0 (never rotated)", minRotated, maxRotated)
	}
	if entry.MaxAge != nil {
		t.MaxAge = c.age(key+".max_age", *entry.MaxAge)
	}
	if entry.Keep != nil {
		t.Keep = *entry.Keep
		if t.Keep < 0 {
			c.add(key+".keep", "%d is negative; 0 keeps all", t.Keep)
		}
	}
	if entry.Compress != nil {
		t.Compress = oneOf(c, key+".compress", *entry.Compress, "none", "gzip", "zstd")
	}
	return &t
}

// transcriptFile reads the name of a transcript's files, or that there are to be none.
func (c *checker) transcriptFile(t *Transcript, text, at string) {
	if text == noTranscript {
		t.File = ""
		return
	}
	t.File = c.path(text)
	if err := checkFile(text, t.File, c.dir); err != nil {
		c.unfit(at, "%s", err)
	}
}

// checkFile tells what is wrong with the name of a transcript's files, which makes such a path with the folder of the config.
func checkFile(text, path, dir string) error {
	elements := strings.Split(text, "/")
	last := elements[len(elements)-1]
	switch {
	case text == "":
		return errors.New("is empty; write the path of a file, such as /var/log/serialhub/{link}.log, or none")
	case strings.ContainsRune(text, 0):
		return errors.New("a path cannot contain a NUL byte")
	case slices.Contains(elements, ".."):
		return fmt.Errorf("%q has “..” in it; write the path of the folder where it leads", text)
	case last == "" || last == ".":
		return fmt.Errorf("%q names a folder; write the path of a file, such as %s/{link}.log", text, strings.TrimRight(strings.TrimSuffix(text, "."), "/"))
	case !filepath.IsAbs(text) && strings.ContainsAny(dir, "{}"):
		return fmt.Errorf("%q would be in %s, and braces can only be around link, end and date; write the path of another folder", text, dir)
	case strings.HasPrefix(path, "/dev/") && !strings.HasPrefix(path, "/dev/shm/"):
		return fmt.Errorf("%s is where devices are, and a transcript is a file; write a path such as /var/log/serialhub/{link}.log", path)
	}
	return checkBraces(text)
}

// checkBraces looks whether all braces are those of placeholders.
func checkBraces(text string) error {
	const known = "{link}, {end} and {date}"
	for rest := text; ; {
		start := strings.IndexAny(rest, "{}")
		if start < 0 {
			return nil
		}
		length := strings.IndexAny(rest[start+1:], "{}") + 2
		if rest[start] == '}' || length < 2 || rest[start+length-1] == '{' {
			return fmt.Errorf("%q has a single brace; they come in pairs, and can be those of %s", text, known)
		}
		switch placeholder := rest[start : start+length]; placeholder {
		case forLink, forEnd, forDate:
		default:
			return fmt.Errorf("%s stands for nothing known; a name can have %s in it", placeholder, known)
		}
		rest = rest[start+length:]
	}
}

// settle takes the transcript away from a link that names no file, and notes a fault if another one writes into the same.
// It comes when all ends have their addresses.
func (c *checker) settle(link *Link, entry *transcriptEntry, key string) {
	t := link.Transcript
	at, own := key+".transcript", entry != nil && entry.File != nil
	switch {
	case t.File == "":
		link.Transcript = nil
		if entry != nil && !own && !c.misfit("defaults.transcript.file") {
			c.add(at+".file", "the file is missing; write the path of one, such as /var/log/serialhub/{link}.log")
		}
		return
	case !own:
		at = "defaults.transcript"
	}
	at = c.longOrShort(at, "file")
	if c.misfit(at) || c.names[link.Name] != key {
		return
	}
	for _, path := range t.paths(link.Name) {
		why := tooLong(path)
		switch holder := c.logs[path]; {
		case why != "":
		case holder != "" && !strings.Contains(t.File, forLink):
			why = fmt.Sprintf("%s would be the file of both %s and %s; put {link} into the name", path, holder, key)
		case holder != "":
			why = fmt.Sprintf("%s would be the file of both %s and %s; each link needs its own", path, holder, key)
		case c.used[path] != "":
			why = fmt.Sprintf("%s is already the address of %s; a transcript needs a file of its own", path, c.used[path])
		}
		if why != "" {
			c.unfit(at, "%s", why) // once, however many links have it from the defaults
			return
		}
		c.logs[path] = key
	}
}

// tooLong tells what is too long about a path; "" if nothing is.
func tooLong(path string) string {
	if len(path) > maxTranscriptPath {
		return fmt.Sprintf("the path is %d bytes long, and can have %d", len(path), maxTranscriptPath)
	}
	for name := range strings.SplitSeq(path, "/") {
		if len(name) > maxTranscriptName {
			return fmt.Sprintf("the name %.20s… is %d bytes long, and can have %d, because rotated files have longer ones", name, len(name), maxTranscriptName)
		}
	}
	return ""
}

// withDays is a span of time that begins with days, which time.ParseDuration does not know.
var withDays = regexp.MustCompile(`^([0-9]{1,9})d((?:[0-9].*)?)$`)

// age reads a span of time that may have days, or 0.
func (c *checker) age(key string, text ageText) time.Duration {
	const most = maxDays * 24 * time.Hour
	days, rest := 0, string(text)
	var err error
	if found := withDays.FindStringSubmatch(rest); found != nil {
		days, err = strconv.Atoi(found[1])
		rest = cmp.Or(found[2], "0")
	}
	d, unreadable := time.ParseDuration(rest)
	sum := d + time.Duration(min(days, maxDays))*24*time.Hour
	switch {
	case err != nil, unreadable != nil:
		c.add(key, "%q is not a time, such as 30d or 12h", text)
	case days > maxDays, d < 0, d > most, sum > most, sum > 0 && sum < minAge:
		c.add(key, "%s is out of range; it can be 0 (for ever), or from %s to %dd", text, brief(minAge), maxDays)
	}
	return sum
}
