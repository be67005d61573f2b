package supervisor

import (
	"sync"

	"serialhub/internal/relay"
)

// mailbox takes events from the loop, which never waits, to the control, which may. It cannot grow without bound:
// the wire takes nobody in while too many arrivals are reported and not seen yet.
type mailbox struct {
	ready  chan struct{} // has room for one
	mu     sync.Mutex
	events []relay.Event
}

func newMailbox() *mailbox { return &mailbox{ready: make(chan struct{}, 1)} }

func (m *mailbox) put(event relay.Event) {
	m.mu.Lock()
	m.events = append(m.events, event)
	m.mu.Unlock()
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

func (m *mailbox) take() []relay.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	events := m.events
	m.events = nil
	return events
}
