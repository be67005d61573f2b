package api

import (
	"encoding/json"
	"time"

	"serialhub/internal/config"
	"serialhub/internal/events"
	"serialhub/internal/rest"
	"serialhub/internal/supervisor"
)

func showEvent(id string, e *events.Event) rest.Event {
	shown := rest.Event{
		ID: id, At: e.At.UTC(), Type: rest.EventType(e.Type), Link: e.Link, End: e.End,
		State: rest.LinkState(e.State), Previous: rest.LinkState(e.Previous), Reason: e.Reason, Message: e.Message,
	}
	if e.Peer != nil {
		peer := showPeer(supervisor.Peer{
			PID: e.Peer.PID, UID: e.Peer.UID, GID: e.Peer.GID,
			Command: e.Peer.Command, VM: e.Peer.VM, Address: e.Peer.Address, Subject: e.Peer.Subject,
		})
		shown.Peer = &peer
	}
	if e.Type == events.Reload {
		ok := e.Changes != nil
		shown.OK = &ok
	}
	for _, fault := range e.Faults {
		shown.Faults = append(shown.Faults, rest.Fault(fault))
	}
	if c := e.Changes; c != nil {
		changes := showChanges(config.Changes{Added: c.Added, Removed: c.Removed, Changed: c.Changed, Unchanged: c.Unchanged})
		shown.Changes = &changes
	}
	return shown
}

// frame is an event as it is sent.
func frame(e *events.Entry) []byte { return appendFrame(nil, showEvent(e.ID(), &e.Event)) }

func appendFrame(page []byte, shown rest.Event) []byte {
	data, err := json.Marshal(shown)
	if err != nil {
		panic(err) // there is nothing in it that is no JSON
	}
	page = append(append(page, "id: "...), shown.ID...)
	page = append(append(page, "\nevent: "...), shown.Type...)
	page = append(append(page, "\ndata: "...), data...)
	return append(page, "\n\n"...)
}

// appendMissed tells a reader that it does not get all that has happened since the event that it knows. It goes on after the position.
func appendMissed(page []byte, position string) []byte {
	return appendFrame(page, showEvent(position, &events.Event{
		At: time.Now(), Type: events.Missed,
		Message: "the hub does not know any more what happened first after the last event that was asked for, or it was another hub's; what is known follows",
	}))
}
