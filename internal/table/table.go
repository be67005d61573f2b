// Package table shows links to people: in a table, in detail, or in a sentence.
package table

import (
	"strings"
	"time"

	"serialhub/internal/client"
	"serialhub/internal/render"
	"serialhub/internal/rest"
)

// Style says who reads it. What comes from guests, peers and files is escaped, so that a terminal obeys nothing of it.
type Style struct {
	Width int       // of the terminal, in cells: no line is longer; 0: each is as long as it has to be
	Color bool      // the terminal has colours; they only repeat what the text says
	Now   time.Time // which also has the zone that times are shown in
}

// Links gives the lines of a table, of which the first is its head. A link that is tried again or has failed has a second line that says why.
// Rates, by the links' names, add columns to it; nil has none.
func (s Style) Links(links []rest.Link, rates map[string]Rate) []string {
	return s.lines(links, rates, true)
}

func (s Style) lines(links []rest.Link, rates map[string]Rate, why bool) []string {
	columns := s.columns(links, rates)
	fitted := fit(columns, s.Width)
	lines := make([]string, 0, 1+len(links))
	lines = append(lines, s.paint(bold, s.row(fitted, -1, "")))
	for i, link := range links {
		lines = append(lines, s.row(fitted, i, stateColor(link.State)))
		if reason := trouble(link); why && reason != "" {
			lines = append(lines, s.paint(red, cut("    "+s.lastError(*link.LastError), s.Width)))
		}
	}
	return lines
}

// columns are those of the table, the most that there are.
func (s Style) columns(links []rest.Link, rates map[string]Rate) []column {
	name := column{title: "NAME", least: 8}
	state := column{title: "STATE", colored: true}
	peers := [2]column{{title: "A", least: leastPeer}, {title: "B", least: leastPeer}}
	bytes := [2]column{{title: "A→B", right: true, drop: 1}, {title: "B→A", right: true, drop: 1}}
	speeds := [2]column{{title: "A→B/s", right: true}, {title: "B→A/s", right: true}}
	since := column{title: "SINCE", right: true, drop: 2}
	for _, link := range links {
		name.add(render.Escape(link.Name))
		state.add(render.Escape(string(link.State)))
		rate := rates[link.Name]
		for i, end := range []string{"a", "b"} {
			peers[i].add(peer(link.Ends[end]))
			// What went to the peer at b has come from a, and has not been dropped on the way.
			bytes[1-i].add(size(link.Ends[end].SentBytes))
			speeds[1-i].add(rate.text(1 - i))
		}
		since.add(age(s.Now.Sub(link.Since)))
	}
	columns := []column{name, state, peers[0], peers[1], bytes[0], bytes[1]}
	if rates != nil {
		columns[4].drop, columns[5].drop = 3, 3 // how fast they cross says more
		columns = append(columns, speeds[0], speeds[1])
	}
	return append(columns, since)
}

// row puts the cells of a line side by side; that of -1 is the head. The cell of a coloured column is in a colour.
func (s Style) row(columns []column, i int, color string) string {
	var line strings.Builder
	for at, c := range columns {
		if at > 0 {
			line.WriteString(gap)
		}
		text := c.title
		if i >= 0 {
			text = c.cells[i]
		}
		text = cut(text, c.width)
		space := strings.Repeat(" ", c.width-cells(text))
		if c.colored && i >= 0 {
			text = s.paint(color, text)
		}
		switch {
		case c.right:
			line.WriteString(space + text)
		case at == len(columns)-1:
			line.WriteString(text)
		default:
			line.WriteString(text + space)
		}
	}
	return line.String()
}

// peer says in a few words who is at an end: a VM or a command, and its process; or where somebody is who is elsewhere.
func peer(end rest.End) string {
	text := "-"
	switch p := end.Peer; {
	case p != nil:
		text = brief(*p)
	case client.HasPeer(end):
		text = "connected"
	}
	if n := len(end.Queued); n > 0 {
		text += " +" + count(n) + " queued"
	}
	return text
}

func brief(p rest.Peer) string {
	text := render.Escape(p.VM)
	if text == "" {
		text = render.Escape(p.Command)
	}
	switch {
	case text == "" && p.Address != "":
		text = render.Escape(p.Address)
	case text == "":
		text = "somebody"
	}
	if p.PID != nil && *p.PID != 0 {
		text += " " + count(*p.PID)
	}
	return text
}

// trouble is why a link does not work; "" if it does.
func trouble(link rest.Link) string {
	if link.LastError == nil || link.State != rest.LinkRetrying && link.State != rest.LinkFailed {
		return ""
	}
	return render.Escape(link.LastError.Message)
}

// lastError says when something went wrong, where, and what.
func (s Style) lastError(e rest.LastError) string {
	text := age(s.Now.Sub(e.At)) + " ago: " + render.Escape(e.Message)
	if e.End != "" {
		text = "end " + render.Escape(e.End) + ", " + text
	}
	return text
}
