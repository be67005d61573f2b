package config

import (
	"strings"
	"time"
)

// Transcript says into which files what crosses a link is written, in which shape, and how long they stay.
type Transcript struct {
	File       string        // absolute and cleaned; {link}, {end} and {date} in it stand for what Path puts there
	Format     string        // text, raw, hex, json or pcapng
	Direction  string        // whose bytes are written: those that a or b has said, or both
	Timestamps bool          // in text; the others have theirs anyway, but for raw, which has none
	MaxSize    int64         // bytes, at which a file is rotated; 0 for never
	MaxAge     time.Duration // after which a rotated file is removed; 0 for never
	Keep       int           // as many rotated files stay; 0 for all
	Compress   string        // rotated files: none, gzip or zstd
}

// What a name can have in braces.
const (
	forLink = "{link}"
	forEnd  = "{end}"
	forDate = "{date}"
)

// Path is the file for what an end, "a" or "b", has said on a day, in the time zone that day has. Without {end} in File it is the
// same for both. The names of links are such that it is always in the folder that File names before its first placeholder.
func (t *Transcript) Path(link, end string, day time.Time) string {
	return t.fill(link, end, day.Format(time.DateOnly))
}

func (t *Transcript) fill(link, end, date string) string {
	return strings.NewReplacer(forLink, link, forEnd, end, forDate, date).Replace(t.File)
}

// paths are all files of the link, with the date left as it is in File.
func (t *Transcript) paths(link string) []string {
	switch {
	case !strings.Contains(t.File, forEnd):
		return []string{t.fill(link, "", forDate)}
	case t.Direction != directionBoth:
		return []string{t.fill(link, t.Direction, forDate)}
	default:
		return []string{t.fill(link, "a", forDate), t.fill(link, "b", forDate)}
	}
}
