package continuity

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// everything is links of all kinds, and what it takes to be at their ends.
func (s *service) everything() (links string, join func() []conn) {
	s.t.Helper()
	address, far := loopback(), plug(s.t, s.path("ttyS"))
	server := serve(s.t, "unix", s.path("server"))
	links = fmt.Sprintf("  - {name: one, a: {pty: %q}, b: {device: %q}}\n", s.path("tty"), s.path("ttyS")) +
		fmt.Sprintf("  - {name: two, a: %q, b: %s}\n", "tcp:"+address, connectTo("unix", s.path("server")))
	return links, func() []conn {
		s.ready()
		peers := []conn{s.openTerminal("tty"), far, s.dialTCP(address), server.accept()}
		s.waitState("one", "up")
		s.waitState("two", "up")
		return peers
	}
}

// TestNothingIsLeft ends a hub that nobody manages: all files of its ends are gone, and all peers are hung up.
func TestNothingIsLeft(t *testing.T) {
	s := newService(t, hubBinary, false, "  []\n")
	links, join := s.everything()
	s.begin(links)
	peers := join()
	wantLock(t, s.path("ttyS"), s.process.pid)
	s.stop()
	for _, peer := range peers {
		hearEnd(t, peer, "")
	}
	if _, err := os.Lstat(s.path("tty")); !os.IsNotExist(err) {
		t.Errorf("the terminal's link is left: %v", err)
	}
	waitNoLock(t, s.path("ttyS"))
}

// TestWhatAKilledHubLeft kills a hub that nobody manages: the next one takes over the files that are left, and works.
func TestWhatAKilledHubLeft(t *testing.T) {
	s := newService(t, hubBinary, false, "  []\n")
	links, join := s.everything()
	s.begin(links)
	peers := join()
	s.kill()
	for i, peer := range peers {
		if i != 1 { // the other side of a cable is not hung up
			hearEnd(t, peer, "")
			peer.Close()
		}
	}
	if _, err := os.Lstat(s.path("tty")); err != nil {
		t.Errorf("the terminal's link is gone: %v", err) // and there is nothing to take over
	}
	s.start()
	peers = join()
	converse(t, peers[0], peers[1])
	converse(t, peers[2], peers[3])
	wantLock(t, s.path("ttyS"), s.process.pid)
}

// TestNothingPilesUp interrupts a hub of all kinds of links again and again. It has no more open, stored or watched than after the first time.
func TestNothingPilesUp(t *testing.T) {
	for _, cause := range interruptions() {
		t.Run(cause.name, func(t *testing.T) {
			s := newService(t, hubBinary, cause.managed, "  []\n")
			links, join := s.everything()
			s.begin(links)
			peers := join()
			settled := func() {
				s.ready()
				converse(t, peers[0], peers[1])
				converse(t, peers[2], peers[3])
			}
			cause.happen(s)
			settled()
			open, watches, stored := s.descriptors(), s.watches(), s.stored()
			for range sized(20, 8) {
				cause.happen(s)
				settled()
			}
			s.until("down to what it had", func() error {
				nowOpen, nowWatches, nowStored := s.descriptors(), s.watches(), s.stored()
				return unless(nowOpen <= open+2*spare && nowWatches == watches && nowStored <= stored+spare,
					"%d descriptors were open, %d files were watched, and %d descriptors stored; now %d, %d and %d",
					open, watches, stored, nowOpen, nowWatches, nowStored)
			})
			t.Logf("%d descriptors were open, %d files watched, %d descriptors stored; now %d, %d and %d",
				open, watches, stored, s.descriptors(), s.watches(), s.stored())
		})
	}
}

// watches is how many files the process has the kernel watch, by inotify(7).
func (s *service) watches() (n int) {
	s.t.Helper()
	infos, err := filepath.Glob(procFile(s.process.pid, "fdinfo/*"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, info := range infos {
		text, err := os.ReadFile(info)
		if err == nil {
			n += strings.Count(string(text), "inotify wd:")
		}
	}
	return n
}

// stored is how many descriptors the manager holds.
func (s *service) stored() int {
	if s.manager == nil {
		return 0
	}
	return len(s.manager.names())
}
