package api

import (
	"time"

	"serialhub/internal/config"
	"serialhub/internal/relay"
	"serialhub/internal/reload"
	"serialhub/internal/supervisor"
)

// The views are what the API shows: JSON with snake_case names and RFC 3339 times in UTC.

type linksView struct {
	Links []linkView `json:"links"`
}

type linkView struct {
	Name      string             `json:"name"`
	State     string             `json:"state"`
	Since     time.Time          `json:"since"`
	Sessions  uint64             `json:"sessions"`
	Resets    uint64             `json:"resets"`
	Failures  uint64             `json:"failures"`
	LastError *errorView         `json:"last_error"`
	Ends      map[string]endView `json:"ends"`

	Transcript *transcriptView `json:"transcript"`
}

type transcriptView struct {
	File  string    `json:"file"`
	State string    `json:"state"` // writing or failing
	Since time.Time `json:"since"`
	Error *string   `json:"error"`
}

type errorView struct {
	At      time.Time `json:"at"`
	End     string    `json:"end,omitempty"`
	Message string    `json:"message"`
}

type endView struct {
	Address        string     `json:"address"`
	Mode           string     `json:"mode"`
	State          string     `json:"state"`
	Since          time.Time  `json:"since"`
	Peer           *peerView  `json:"peer"`
	Queued         []peerView `json:"queued"`
	Connections    uint64     `json:"connections"`
	Rejected       uint64     `json:"rejected"`
	ReceivedBytes  uint64     `json:"received_bytes"`
	SentBytes      uint64     `json:"sent_bytes"`
	DiscardedBytes uint64     `json:"discarded_bytes"`
	Path           string     `json:"path"`
}

// peerView has the numbers of a process only for a peer that is one of this machine.
type peerView struct {
	PID     *int   `json:"pid,omitempty"`
	UID     *int   `json:"uid,omitempty"`
	GID     *int   `json:"gid,omitempty"`
	Command string `json:"command"`
	VM      string `json:"vm"`
	Address string `json:"address,omitempty"`
	Subject string `json:"subject,omitempty"`
}

type statusView struct {
	Version    string         `json:"version"`
	PID        int            `json:"pid"`
	StartedAt  time.Time      `json:"started_at"`
	Config     string         `json:"config"`
	LastReload reloadView     `json:"last_reload"`
	Links      map[string]int `json:"links"`
}

type reloadView struct {
	At    time.Time `json:"at"`
	OK    bool      `json:"ok"`
	Error *string   `json:"error"`
}

type changesView struct {
	Added     []string `json:"added"`
	Removed   []string `json:"removed"`
	Changed   []string `json:"changed"`
	Unchanged []string `json:"unchanged"`
}

func viewChanges(c config.Changes) changesView {
	list := func(names []string) []string { return append([]string{}, names...) } // [] in JSON, not null
	return changesView{Added: list(c.Added), Removed: list(c.Removed), Changed: list(c.Changed), Unchanged: list(c.Unchanged)}
}

func viewReload(r reload.Result) reloadView {
	view := reloadView{At: r.At.UTC(), OK: r.Err == nil}
	if r.Err != nil {
		message := r.Err.Error()
		view.Error = &message
	}
	return view
}

func viewLink(l supervisor.Link) linkView {
	view := linkView{
		Name:     l.Name,
		State:    string(l.State),
		Since:    l.Since.UTC(),
		Sessions: l.Sessions,
		Resets:   l.Resets,
		Failures: l.Failures,
		Ends: map[string]endView{
			relay.A.String(): viewEnd(l.Ends[relay.A]),
			relay.B.String(): viewEnd(l.Ends[relay.B]),
		},
	}
	if t := l.Transcript; t != nil {
		view.Transcript = &transcriptView{File: t.File, State: "writing", Since: t.Since.UTC()}
		if t.Err != "" {
			view.Transcript.State, view.Transcript.Error = "failing", &t.Err
		}
	}
	if l.Last != nil {
		view.LastError = &errorView{At: l.Last.At.UTC(), End: l.Last.End, Message: l.Last.Message}
	}
	return view
}

func viewEnd(e supervisor.End) endView {
	view := endView{
		Address:        e.Address,
		Mode:           e.Way,
		State:          string(e.State),
		Since:          e.Since.UTC(),
		Queued:         make([]peerView, len(e.Queued)),
		Connections:    e.Connections,
		Rejected:       e.Rejected,
		ReceivedBytes:  e.Received,
		SentBytes:      e.Sent,
		DiscardedBytes: e.Discarded,
		Path:           "splice",
	}
	if e.Copied {
		view.Path = "copy"
	}
	for i, peer := range e.Queued {
		view.Queued[i] = viewPeer(peer)
	}
	if e.Peer != nil {
		peer := viewPeer(*e.Peer)
		view.Peer = &peer
	}
	return view
}

func viewPeer(p supervisor.Peer) peerView {
	view := peerView{Command: p.Command, VM: p.VM, Address: p.Address, Subject: p.Subject}
	if p.Address == "" || p.PID != 0 {
		view.PID, view.UID, view.GID = &p.PID, &p.UID, &p.GID
	}
	return view
}

// countStates counts links by state; every state is there, also with 0.
func countStates(links []supervisor.Link) map[string]int {
	counts := map[string]int{}
	for _, state := range supervisor.LinkStates() {
		counts[string(state)] = 0
	}
	for _, l := range links {
		counts[string(l.State)]++
	}
	return counts
}
