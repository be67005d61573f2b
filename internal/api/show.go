package api

import (
	"serialhub/internal/config"
	"serialhub/internal/relay"
	"serialhub/internal/reload"
	"serialhub/internal/rest"
	"serialhub/internal/supervisor"
)

// Times are shown in UTC.

func showChanges(c config.Changes) rest.Changes {
	list := func(names []string) []string { return append([]string{}, names...) } // [] in JSON, not null
	return rest.Changes{Added: list(c.Added), Removed: list(c.Removed), Changed: list(c.Changed), Unchanged: list(c.Unchanged)}
}

func showReload(r reload.Result) rest.LastReload {
	shown := rest.LastReload{At: r.At.UTC(), OK: r.Err == nil}
	if r.Err != nil {
		message := r.Err.Error()
		shown.Error = &message
	}
	return shown
}

func showFaults(faults []config.Fault) []rest.Fault {
	shown := make([]rest.Fault, len(faults))
	for i, fault := range faults {
		shown[i] = rest.Fault(fault)
	}
	return shown
}

func showLink(l supervisor.Link) rest.Link {
	shown := rest.Link{
		Name:     l.Name,
		State:    rest.LinkState(l.State),
		Since:    l.Since.UTC(),
		Sessions: l.Sessions,
		Resets:   l.Resets,
		Failures: l.Failures,
		Ends: map[string]rest.End{
			relay.A.String(): showEnd(l.Ends[relay.A]),
			relay.B.String(): showEnd(l.Ends[relay.B]),
		},
	}
	if t := l.Transcript; t != nil {
		shown.Transcript = &rest.Transcript{File: t.File, State: rest.TranscriptWriting, Since: t.Since.UTC()}
		if t.Err != "" {
			shown.Transcript.State, shown.Transcript.Error = rest.TranscriptFailing, &t.Err
		}
	}
	if l.Last != nil {
		shown.LastError = &rest.LastError{At: l.Last.At.UTC(), End: l.Last.End, Message: l.Last.Message}
	}
	return shown
}

func showEnd(e supervisor.End) rest.End {
	shown := rest.End{
		Address:        e.Address,
		Mode:           rest.EndMode(e.Way),
		State:          rest.EndState(e.State),
		Since:          e.Since.UTC(),
		Queued:         make([]rest.Peer, len(e.Queued)),
		Connections:    e.Connections,
		Rejected:       e.Rejected,
		ReceivedBytes:  e.Received,
		SentBytes:      e.Sent,
		DiscardedBytes: e.Discarded,
		Path:           rest.PathSplice,
	}
	if e.Error != "" {
		shown.Error = &e.Error
	}
	if e.Copied {
		shown.Path = rest.PathCopy
	}
	for i, peer := range e.Queued {
		shown.Queued[i] = showPeer(peer)
	}
	if e.Peer != nil {
		peer := showPeer(*e.Peer)
		shown.Peer = &peer
	}
	return shown
}

// showPeer gives numbers only to a peer that is a process of this machine.
func showPeer(p supervisor.Peer) rest.Peer {
	shown := rest.Peer{Command: p.Command, VM: p.VM, Address: p.Address, Subject: p.Subject}
	if p.Address == "" || p.PID != 0 {
		shown.PID, shown.UID, shown.GID = &p.PID, &p.UID, &p.GID
	}
	return shown
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
