package continuity

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"serialhub/internal/client"
	"serialhub/internal/rest"
)

// retryTime is how often a hub is looked for that is not there.
const retryTime = 5 * time.Millisecond

// listener hears what happens in a service, through all its processes: when a stream ends, it goes on with another one where that has ended.
type listener struct {
	client *client.Client
	stop   context.CancelFunc
	ended  chan struct{}

	mu      sync.Mutex
	heard   []rest.Event
	streams int
}

// listen begins to hear before it returns. It ends with the test.
func (s *service) listen() *listener {
	s.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	address := client.Address{Network: "unix", Address: s.path("api")}
	l := &listener{client: client.New(client.Place{Addresses: []client.Address{address}}, ""), stop: stop, ended: make(chan struct{})}
	stream, err := l.client.Events(ctx, "", "")
	if err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(l.ended)
		for last := ""; ctx.Err() == nil; {
			if stream == nil {
				if stream, err = l.client.Events(ctx, "", last); err != nil {
					stream = nil
					pass(retryTime)
					continue
				}
			}
			l.follow(stream)
			stream.Close()
			last, stream = stream.LastID(), nil
		}
	}()
	s.t.Cleanup(l.end)
	return l
}

// end stops hearing. It may be called more than once.
func (l *listener) end() {
	l.stop()
	<-l.ended
	l.client.Close()
}

func (l *listener) follow(stream *client.Events) {
	l.mu.Lock()
	l.streams++
	l.mu.Unlock()
	for {
		event, err := stream.Next()
		if err != nil {
			return
		}
		l.mu.Lock()
		l.heard = append(l.heard, event.Event)
		l.mu.Unlock()
	}
}

// all is what was heard until now.
func (l *listener) all() []rest.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heard[:len(l.heard):len(l.heard)]
}

// story checks events against each other: numbers grow by one, the states of a link make a chain, and who leaves an end has come to it. It begins anew where the ID does.
func story(heard []rest.Event) (starts int, err error) {
	start, number := "", 0
	states, peers := map[string]rest.LinkState{}, map[string]bool{}
	for i, e := range heard {
		from, digits, _ := strings.Cut(e.ID, "-")
		n, err := strconv.Atoi(digits)
		if err != nil {
			return starts, fmt.Errorf("an ID is %q", e.ID)
		}
		if from != start {
			if i > 0 && e.Type != rest.EventMissed {
				return starts, fmt.Errorf("after %s comes %s, and nobody says that something is missed", heard[i-1].ID, e.ID)
			}
			starts++
			start, number = from, n-1
			clear(states)
			clear(peers)
		} else if e.Type == rest.EventMissed {
			return starts, fmt.Errorf("%s is missed", e.ID)
		}
		if number++; n != number {
			return starts, fmt.Errorf("after %s comes %s", heard[i-1].ID, e.ID)
		}
		end := e.Link + "." + e.End
		switch e.Type {
		case rest.EventState:
			if was, known := states[e.Link]; known && was != e.Previous || e.State == e.Previous {
				return starts, fmt.Errorf("%s: %s is %s, and becomes %s after %s", e.ID, e.Link, was, e.State, e.Previous)
			}
			states[e.Link] = e.State
		case rest.EventPeerConnected, rest.EventPeerLeft:
			if there, known := peers[end]; known && there == (e.Type == rest.EventPeerConnected) {
				return starts, fmt.Errorf("%s: %s at %s, where somebody is: %v", e.ID, e.Type, end, there)
			}
			peers[end] = e.Type == rest.EventPeerConnected
		}
	}
	return starts, nil
}
