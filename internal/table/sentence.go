package table

import (
	"fmt"
	"strings"

	"serialhub/internal/client"
	"serialhub/internal/render"
	"serialhub/internal/rest"
)

// Sentence says on one line how a link is.
func Sentence(link rest.Link) string {
	text := render.Escape(link.Name) + ": " + render.Escape(string(link.State))
	why := trouble(link)
	switch link.State {
	case rest.LinkUp:
		return text + ", " + peer(link.Ends["a"]) + " and " + peer(link.Ends["b"])
	case rest.LinkHalf:
		there, missing := "a", "b"
		if !client.HasPeer(link.Ends["a"]) {
			there, missing = "b", "a"
		}
		return fmt.Sprintf("%s, %s at %s, waiting for a peer at %s", text, peer(link.Ends[there]), there, missing)
	case rest.LinkWaiting:
		return text + " for both peers"
	case rest.LinkRetrying, rest.LinkFailed:
		if why == "" {
			return text
		}
		if link.LastError.End != "" {
			text += ", end " + render.Escape(link.LastError.End)
		}
		return text + ": " + why
	default:
		return text
	}
}

// Changes says on one line what a reload has done.
func Changes(c rest.Changes) string {
	var parts []string
	for _, part := range []struct {
		did   string
		names []string
	}{{"added", c.Added}, {"removed", c.Removed}, {"changed", c.Changed}} {
		if len(part.names) > 0 {
			parts = append(parts, part.did+" "+some(part.names))
		}
	}
	if len(parts) == 0 {
		return "no link has changed; " + plural(len(c.Unchanged), "link is", "links are") + " as before"
	}
	return strings.Join(append(parts, fmt.Sprintf("%d unchanged", len(c.Unchanged))), "; ")
}

// longestList is how many names are listed before the rest is counted.
const longestList = 10

func some(names []string) string {
	shown := make([]string, 0, longestList)
	for _, name := range names[:min(len(names), longestList)] {
		shown = append(shown, render.Escape(name))
	}
	text := strings.Join(shown, ", ")
	if more := len(names) - longestList; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// Summary says how the hub and its links are: on one line, or on two if its last reload has failed and there is not room for both.
func (s Style) Summary(status rest.Status) []string {
	total := 0
	var states []string
	for _, state := range []rest.LinkState{rest.LinkUp, rest.LinkHalf, rest.LinkWaiting, rest.LinkStarting, rest.LinkRetrying, rest.LinkFailed, rest.LinkStopped} {
		n := status.Links[string(state)]
		if total += n; n > 0 {
			states = append(states, fmt.Sprintf("%d %s", n, state))
		}
	}
	text := "no links"
	if total > 0 {
		text = plural(total, "link", "links") + ": " + strings.Join(states, ", ")
	}
	text += fmt.Sprintf("; serialhub %s, pid %d, up %s", render.Escape(status.Version), status.PID, age(s.Now.Sub(status.StartedAt)))
	if r := status.LastReload; !r.OK {
		failed := "last reload failed " + age(s.Now.Sub(r.At)) + " ago"
		if r.Error != nil {
			first, _, _ := strings.Cut(*r.Error, "\n")
			failed += ": " + render.Escape(first)
		}
		if s.Width > 0 && cells(text+"; "+failed) > s.Width {
			return []string{cut(text, s.Width), s.Alarm(failed)}
		}
		return []string{text + "; " + s.paint(red, failed)}
	}
	return []string{cut(text, s.Width)}
}
