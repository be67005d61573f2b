package continuity

import (
	"strconv"
	"syscall"
	"testing"
	"time"
)

// TestReadyWhenEndsAreBound connects as soon as the hub says that it is ready; an end that cannot be bound keeps nobody waiting.
func TestReadyWhenEndsAreBound(t *testing.T) {
	const links = oneLink + "  - {name: bad, a: /nonexistent/a, b: c}\n  - {name: other, a: d, b: e}\n"
	s := newService(t, hubBinary, true, links)
	for range sized(20, 3) {
		said := len(s.manager.heard())
		s.start()
		s.manager.awaitNotice(t, said, "READY=1")
		for _, socket := range []string{"a", "b", "c", "d", "e"} {
			s.dial(socket).Close()
		}
		s.kill()
	}
}

// TestStatusAndStopping wants a STATUS for people, and STOPPING=1 before the end.
func TestStatusAndStopping(t *testing.T) {
	s := newService(t, hubBinary, true, oneLink)
	s.start()
	_, said := s.manager.awaitNotice(t, 0, "READY=1")
	s.until("saying a status", func() error {
		for _, n := range s.manager.heard() {
			if text, found := n.value("STATUS"); found && text != "" {
				return nil
			}
		}
		return unless(false, "it has said none")
	})
	s.stop()
	s.manager.awaitNotice(t, said, "STOPPING=1")
}

// TestReloadIsAnnounced wants RELOADING=1 with the time, and READY=1 when it is done, also for a bad file.
func TestReloadIsAnnounced(t *testing.T) {
	const bad = "  - {name: dbg, a: a}\n"
	s := newService(t, hubBinary, true, oneLink)
	s.start()
	_, said := s.manager.awaitNotice(t, 0, "READY=1")
	for _, links := range []string{oneLink + "  - {name: more, a: c, b: d}\n", bad, oneLink} {
		s.write(links)
		begin := monotonic()
		s.signal(syscall.SIGHUP)
		var reloading notice
		reloading, said = s.manager.awaitNotice(t, said, "RELOADING=1")
		text, _ := reloading.value("MONOTONIC_USEC")
		micros, err := strconv.ParseInt(text, 10, 64)
		at := time.Duration(micros) * time.Microsecond
		if err != nil || at < begin.Truncate(time.Microsecond) || at > reloading.clock {
			t.Errorf("MONOTONIC_USEC is %q; it was asked at %v and heard at %v", text, begin, reloading.clock)
		}
		_, said = s.manager.awaitNotice(t, said, "READY=1")
		err = s.get("/links/more", nil)
		if want := links != oneLink; (err == nil) != want { // a bad file has changed nothing
			t.Errorf("when the reload was done: %v", err)
		}
	}
}

// TestReplacementIsAnnounced wants the manager to know that the hub is ready again.
func TestReplacementIsAnnounced(t *testing.T) {
	s := newService(t, hubBinary, true, oneLink)
	s.start()
	_, said := s.manager.awaitNotice(t, 0, "READY=1")
	for range 3 {
		s.replace()
		_, said = s.manager.awaitNotice(t, said, "READY=1")
	}
}

// TestWatchdogOverUpgrades replaces the hub more often than the watchdog is due: each process is heard of as it begins.
func TestWatchdogOverUpgrades(t *testing.T) {
	s := newService(t, hubBinary, true, oneLink)
	s.env = []string{"WATCHDOG_USEC=" + strconv.FormatInt(time.Hour.Microseconds(), 10)}
	s.start()
	_, said := s.manager.awaitNotice(t, 0, "WATCHDOG=1")
	for range 3 {
		s.replace()
		_, said = s.manager.awaitNotice(t, said, "WATCHDOG=1")
	}
}

// TestWatchdog wants WATCHDOG=1 more often than is asked for, from the process and from the one that replaces it, and not from one that hangs.
func TestWatchdog(t *testing.T) {
	const timeout = time.Second
	s := newService(t, hubBinary, true, oneLink)
	s.env = []string{"WATCHDOG_USEC=" + strconv.FormatInt(timeout.Microseconds(), 10)}
	s.start()
	_, said := s.manager.awaitNotice(t, 0, "READY=1")
	watch := func() {
		t.Helper()
		first, upto := s.manager.awaitNotice(t, said, "WATCHDOG=1")
		last := first
		for range 5 {
			var next notice
			next, upto = s.manager.awaitNotice(t, upto, "WATCHDOG=1")
			if gap := next.clock - last.clock; gap > timeout*3/4 {
				t.Errorf("the watchdog heard nothing for %v", gap)
			}
			last = next
		}
		if twice := 5 * timeout / 2; last.clock-first.clock > twice {
			t.Errorf("the watchdog was told 5 times in %v, not in %v", last.clock-first.clock, twice)
		}
		said = upto
	}
	watch()
	s.replace()
	watch()
	s.signal(syscall.SIGSTOP)
	s.until("stopped", func() error { return unless(s.stopped(), "it runs") })
	s.manager.settle(t)
	before := len(s.manager.heard())
	pass(timeout)
	if said := len(s.manager.heard()); said > before {
		t.Errorf("a stopped process has said %d things", said-before)
	}
	s.signal(syscall.SIGCONT)
	s.manager.awaitNotice(t, before, "WATCHDOG=1")
}
