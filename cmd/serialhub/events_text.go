package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"serialhub/internal/client"
	"serialhub/internal/rest"
	"serialhub/internal/table"
)

// eventText is an event as a line for people: when, whose, what. Nothing of it can do anything to a terminal.
func eventText(e *client.Event) string {
	whose := "hub"
	if e.Link != "" {
		whose = strings.TrimSpace(e.Link + " " + e.End)
	}
	line := e.At.Local().Format("2006-01-02 15:04:05.000") + "  " + whose + "  " + what(e)
	return client.Printable(strings.ReplaceAll(line, "\n", " ")) + "\n"
}

// what says in a few words what has happened.
func what(e *client.Event) string {
	switch e.Type {
	case rest.EventState:
		return string(e.State) + ", was " + string(e.Previous)
	case rest.EventPeerConnected:
		return "peer connected: " + client.PeerName(e.Peer)
	case rest.EventPeerLeft:
		return because("peer left: "+client.PeerName(e.Peer), e.Reason)
	case rest.EventPeerRejected:
		return because("peer turned away: "+client.PeerName(e.Peer), e.Reason)
	case rest.EventReset:
		return "reset"
	case rest.EventFault:
		return "failed: " + e.Message
	case rest.EventLinkAdded:
		return "added"
	case rest.EventLinkRemoved:
		return "removed"
	case rest.EventLinkChanged:
		return "changed"
	case rest.EventReload:
		return reloaded(e)
	case rest.EventMissed:
		return "missed: " + e.Message
	default: // of a newer hub
		return because(string(e.Type), e.Message)
	}
}

func because(what, reason string) string {
	if reason == "" {
		return what
	}
	return what + "; " + reason
}

// reloaded says what a reload has changed, or why it has not.
func reloaded(e *client.Event) string {
	if e.OK == nil || !*e.OK || e.Changes == nil {
		var faults []string
		for _, fault := range e.Faults {
			text := fault.Message
			if fault.Key != "" {
				text = fault.Key + ": " + text
			}
			if fault.Line > 0 {
				text = fmt.Sprintf("line %d: %s", fault.Line, text)
			}
			faults = append(faults, text)
		}
		if len(faults) == 0 {
			faults = []string{e.Message}
		}
		return "not reloaded, and nothing was changed: " + strings.Join(faults, "; ")
	}
	return "reloaded: " + table.Changes(*e.Changes)
}

// eventJSON is an event as it has come, on a line.
func eventJSON(e *client.Event) string {
	var line bytes.Buffer
	if err := json.Compact(&line, e.JSON); err != nil {
		return "" // it could be read, so it is JSON
	}
	return escapeJSON(line.String()) + "\n"
}
