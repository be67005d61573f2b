package transcript

import (
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"serialhub/internal/relay"
)

const (
	day     = 24 * time.Hour
	anyDate = "{date}"
	anyEnd  = "{end}"
)

// hasEnd tells whether a path is another one for each end.
func hasEnd(path string) bool { return strings.Contains(path, anyEnd) }

// name is the path of a file on each day.
type name struct {
	path string // with {date}
}

func newName(path, link string, sides []relay.Side) name {
	return name{strings.NewReplacer("{link}", link, anyEnd, sides[0].String()).Replace(path)}
}

// dated tells whether there is another file on each day.
func (n name) dated() bool { return strings.Contains(n.path, anyDate) }

// on is the path on the day of a moment, by UTC as the times in the files are.
func (n name) on(at time.Time) string {
	return strings.ReplaceAll(n.path, anyDate, date(at))
}

func date(at time.Time) string { return at.UTC().Format(time.DateOnly) }

// folders is a pattern, as filepath.Glob has it, of where the files of all days are.
func (n name) folders() string {
	folder := regexp.MustCompile(`[\\*?[]`).ReplaceAllString(filepath.Dir(n.path), `\$0`)
	return strings.ReplaceAll(folder, anyDate, "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]")
}

// pattern matches the paths of all days, also those that files are given when they are complete. Its groups are the date, and what such a path has
// more.
func (n name) pattern() *regexp.Regexp {
	const digits = `\d{4}-\d{2}-\d{2}`
	extension := filepath.Ext(n.path)
	quote := func(s string) string {
		return strings.ReplaceAll(regexp.QuoteMeta(s), regexp.QuoteMeta(anyDate), digits)
	}
	all := quote(strings.TrimSuffix(n.path, extension)) +
		`(-` + digits + `T\d{2}-\d{2}-\d{2}\.\d{6}-[a-z0-9_]+)?` + quote(extension) + `(\.gz|\.zst)?`
	return regexp.MustCompile(`^` + strings.Replace(all, digits, `(`+digits+`)`, 1) + `$`)
}
