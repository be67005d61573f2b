package main

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"serialhub/internal/continuity"
	"serialhub/internal/supervisor"
)

// statusInterval is how often the service manager is told how the links are, if that has changed.
const statusInterval = time.Second

// notifier is the actor that tells the service manager how the hub is (sd_notify(3)).
type notifier struct {
	manager *continuity.Manager
	links   *supervisor.Supervisor
	log     *slog.Logger
	quit    chan struct{}
}

func newNotifier(manager *continuity.Manager, links *supervisor.Supervisor, log *slog.Logger) *notifier {
	return &notifier{manager: manager, links: links, log: log, quit: make(chan struct{})}
}

func (n *notifier) interrupt(error) { close(n.quit) }

// run says READY=1 once every end is open that can be, and from then on how the links are and, as often as the manager wants,
// that they answer.
func (n *notifier) run() error {
	if !n.waitUntilOpen() {
		return nil
	}
	// WATCHDOG=1 at once: systemd counts from what the program before this one has said, which may have been replaced just before it was due.
	n.tell("READY=1", "WATCHDOG=1", n.status())
	status := time.NewTicker(statusInterval)
	defer status.Stop()
	var watchdog <-chan time.Time
	if interval := continuity.Watchdog(); interval > 0 {
		ticker := time.NewTicker(interval / 3)
		defer ticker.Stop()
		watchdog = ticker.C
	}
	last := ""
	for {
		select {
		case <-n.quit:
			n.tell("STOPPING=1")
			return nil
		case <-watchdog:
			n.links.Answers()
			n.tell("WATCHDOG=1")
		case <-status.C:
			if now := n.status(); now != last {
				n.tell(now)
				last = now
			}
		}
	}
}

// waitUntilOpen waits until no link is being opened any more. It returns false if the hub is to end before.
func (n *notifier) waitUntilOpen() bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n.count()[supervisor.LinkStarting] > 0 {
		select {
		case <-tick.C:
		case <-n.quit:
			return false
		}
	}
	return true
}

func (n *notifier) count() map[supervisor.LinkState]int {
	counts := map[supervisor.LinkState]int{}
	for _, link := range n.links.Links() {
		counts[link.State]++
	}
	return counts
}

// status is a line for people, such as “STATUS=3 links: 2 up, 1 waiting”.
func (n *notifier) status() string {
	counts, sum := n.count(), 0
	var parts []string
	for _, state := range supervisor.LinkStates() {
		if counts[state] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[state], state))
			sum += counts[state]
		}
	}
	return strings.TrimSuffix(fmt.Sprintf("STATUS=%d links: %s", sum, strings.Join(parts, ", ")), ": ")
}

// reloading tells the manager of a reload that begins; the function that it returns, of its end.
func (n *notifier) reloading() (done func()) {
	n.tell("RELOADING=1", continuity.Monotonic())
	return func() { n.tell("READY=1", n.status()) }
}

func (n *notifier) tell(assignments ...string) {
	if err := n.manager.Notify(assignments...); err != nil {
		n.log.Warn("sd_notify", "error", err)
	}
}
