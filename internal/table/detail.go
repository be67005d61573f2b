package table

import (
	"fmt"
	"strings"
	"time"

	"serialhub/internal/render"
	"serialhub/internal/rest"
)

// Link gives the lines of a table of one link, and below it all that is known of it.
func (s Style) Link(link rest.Link, rates map[string]Rate) []string {
	lines := s.lines([]rest.Link{link}, rates, false)
	for _, text := range s.details(link) {
		lines = append(lines, s.Wrap(text)...)
	}
	return lines
}

// Wrap goes on with a line that is too long in the next one, between two words where that is possible.
func (s Style) Wrap(text string) (lines []string) {
	const indent = "    "
	for s.Width > 2*len(indent) && cells(text) > s.Width {
		head := measure().Truncate(text, s.Width, "")
		if at := strings.LastIndexByte(head, ' '); len(strings.TrimSpace(head[:max(at, 0)])) > 0 && text[len(head)] != ' ' {
			head = head[:at]
		}
		lines = append(lines, strings.TrimRight(head, " "))
		text = indent + strings.TrimLeft(text[len(head):], " ")
	}
	return append(lines, text)
}

func (s Style) details(link rest.Link) []string {
	lines := []string{
		"",
		fmt.Sprintf("%s since %s; %s, %s, %s", render.Escape(string(link.State)), s.moment(link.Since),
			plural(link.Sessions, "session", "sessions"), plural(link.Resets, "reset", "resets"), plural(link.Failures, "failure", "failures")),
	}
	for _, name := range []string{"a", "b"} {
		end, known := link.Ends[name]
		if known {
			lines = append(lines, s.end(name, end)...)
		}
	}
	if e := link.LastError; e != nil {
		lines = append(lines, "", "last error: "+s.lastError(*e))
	}
	if t := link.Transcript; t != nil {
		text := fmt.Sprintf("transcript: %s, %s since %s", render.Escape(t.File), render.Escape(string(t.State)), s.moment(t.Since))
		if t.Error != nil {
			text += ": " + render.Escape(*t.Error)
		}
		lines = append(lines, "", text)
	}
	return lines
}

func (s Style) end(name string, end rest.End) []string {
	lines := []string{
		"",
		fmt.Sprintf("%s: %s %s", name, way(end.Mode), render.Escape(end.Address)),
		fmt.Sprintf("   %s since %s", render.Escape(string(end.State)), s.moment(end.Since)),
	}
	if end.Error != nil {
		lines = append(lines, "   "+render.Escape(*end.Error))
	}
	if p := end.Peer; p != nil {
		lines = append(lines, "   peer: "+full(*p))
	}
	for _, p := range end.Queued {
		lines = append(lines, "   queued: "+full(p))
	}
	bytes := fmt.Sprintf("   %s received, %s sent, %s discarded", size(end.ReceivedBytes), size(end.SentBytes), size(end.DiscardedBytes))
	if end.Path == rest.PathCopy {
		bytes += "; copied through the hub"
	}
	return append(lines, fmt.Sprintf("   %s, %d rejected", plural(end.Connections, "connection", "connections"), end.Rejected), bytes)
}

// way says what the hub does with an address.
func way(mode rest.EndMode) string {
	switch mode {
	case rest.ModeListen:
		return "listens at"
	case rest.ModeConnect:
		return "connects to"
	case rest.ModePTY:
		return "has a terminal at"
	case rest.ModeDevice:
		return "has the device"
	default:
		return render.Escape(string(mode))
	}
}

// full says all that is known of a peer.
func full(p rest.Peer) string {
	var parts []string
	add := func(format, text string) {
		if text != "" {
			parts = append(parts, fmt.Sprintf(format, render.Escape(text)))
		}
	}
	add("%s", p.Command)
	add("VM %s", p.VM)
	add("at %s", p.Address)
	add("certificate of %s", p.Subject)
	if p.PID != nil && *p.PID != 0 {
		parts = append(parts, "pid "+count(*p.PID))
	}
	if p.UID != nil && p.GID != nil {
		parts = append(parts, "uid "+count(*p.UID), "gid "+count(*p.GID))
	}
	if len(parts) == 0 {
		return "somebody"
	}
	return strings.Join(parts, ", ")
}

// moment tells when something was, and how long ago that is.
func (s Style) moment(at time.Time) string {
	return fmt.Sprintf("%s (%s)", at.In(s.Now.Location()).Format(time.DateTime), age(s.Now.Sub(at)))
}
