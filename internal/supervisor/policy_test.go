package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"serialhub/internal/config"
	"serialhub/internal/endpoint"
	"serialhub/internal/relay"
)

// startLike runs one link, "dbg", that differs from the usual one as change says.
func startLike(t *testing.T, change func(*config.Link)) *hub {
	t.Helper()
	return startWith(t, func(s *Supervisor) { change(s.links[0].config) }, "dbg")
}

func (h *hub) do(action func(context.Context, string) (Link, error), want LinkState) Link {
	h.t.Helper()
	link, err := action(context.Background(), "dbg")
	if err != nil || link.State != want {
		h.t.Fatalf("the answer is %+v, %v; want state %s", link, err, want)
	}
	return link
}

func (h *hub) reset(ctx context.Context, name string) (Link, error) { return h.Reset(ctx, name) }

// readAll reads what a peer gets until it is closed.
func readAll(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	got, err := io.ReadAll(conn)
	if err != nil || string(got) != want {
		t.Errorf("got %d bytes, %v; want %d and the end", len(got), err, len(want))
	}
}

func TestRestartNever(t *testing.T) {
	h := startLike(t, func(l *config.Link) { l.Restart.Policy = config.Never })
	for round := range 3 {
		a, b := h.up("dbg")
		text := strings.Repeat("last words ", 10_000)
		go func() {
			a.Write([]byte(text))
			a.Close()
		}()
		readAll(t, b, text)
		stopped := h.waitState("dbg", LinkStopped)
		if stopped.Ends[relay.A].State != EndClosed || stopped.Failures != 0 || stopped.Sessions != uint64(round+1) {
			t.Errorf("after the loss: %+v", stopped)
		}
		if _, err := os.Lstat(h.path("dbg", relay.A)); !os.IsNotExist(err) {
			t.Errorf("the socket is still there: %v", err)
		}
		if names := h.NotOpen(); len(names) > 0 {
			t.Errorf("a link that stopped as it should is missed: %v", names)
		}
		if round == 0 {
			h.do(h.StartLink, LinkWaiting)
		} else {
			h.do(h.reset, LinkWaiting)
		}
	}
}

func TestRestartNeverFailsAtTheFirstError(t *testing.T) {
	h := startWith(t, func(s *Supervisor) {
		l := s.links[0]
		l.config.Restart.Policy = config.Never
		if err := os.WriteFile(l.config.A.Address.Path(), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}, "dbg")
	failed := h.waitState("dbg", LinkFailed)
	if failed.Failures != 1 || !strings.Contains(failed.Last.Message, "not a socket") || failed.Ends[relay.B].State != EndClosed {
		t.Errorf("the link is %+v", failed)
	}
	if names := h.NotOpen(); fmt.Sprint(names) != "[dbg]" {
		t.Errorf("not open: %v", names)
	}
	h.do(h.StartLink, LinkFailed) // tried again, in vain
	if err := os.Remove(h.path("dbg", relay.A)); err != nil {
		t.Fatal(err)
	}
	h.do(h.reset, LinkWaiting)
}

func TestRestartOnFailure(t *testing.T) {
	h := startLike(t, func(l *config.Link) { l.Restart.Policy = config.OnFailure })
	a, b := h.up("dbg")
	if _, err := a.Write([]byte("unread")); err != nil {
		t.Fatal(err)
	}
	h.wait("dbg", "delivered", func(l Link) bool { return l.Ends[relay.B].Sent == 6 })
	b.Close() // with bytes unread, as a crash leaves them
	h.waitState("dbg", LinkHalf)
	b = h.dial("dbg", relay.B)
	h.waitState("dbg", LinkUp)
	carry(t, a, b, "still up")
	b.Close()
	readAll(t, a, "")
	h.waitState("dbg", LinkStopped)
}

func TestMaxFailures(t *testing.T) {
	h := startWith(t, func(s *Supervisor) {
		l := s.links[0]
		l.config.Restart.MaxFailures = 3
		l.config.Restart.Delay = 10 * time.Millisecond
		if err := os.WriteFile(l.config.B.Address.Path(), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}, "dbg")
	failed := h.waitState("dbg", LinkFailed)
	if failed.Failures != 3 || failed.Last.End != "b" {
		t.Errorf("the link is %+v", failed)
	}
	if err := os.Remove(h.path("dbg", relay.B)); err != nil {
		t.Fatal(err)
	}
	h.do(h.reset, LinkWaiting)
}

func TestStopAndStart(t *testing.T) {
	h := startHub(t, "dbg")
	a, b := h.up("dbg")
	if _, err := a.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	stopped := h.do(h.StopLink, LinkStopped)
	readAll(t, b, "last words")
	if stopped.Ends[relay.A].State != EndClosed || stopped.Ends[relay.A].Peer != nil {
		t.Errorf("the stopped link is %+v", stopped)
	}
	if _, err := net.Dial("unix", h.path("dbg", relay.A)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("connecting to a stopped link gave %v", err)
	}
	h.do(h.StopLink, LinkStopped)
	h.do(h.StartLink, LinkWaiting)
	again := h.do(h.StartLink, LinkWaiting)
	if again.Sessions != 1 || again.Ends[relay.A].Received != 10 {
		t.Errorf("the link has forgotten its counters: %+v", again)
	}
	a, b = h.up("dbg")
	carry(t, a, b, "again")
}

func TestStopOfALinkThatIsTriedAgain(t *testing.T) {
	h := startBlocked(t)
	h.waitState("bad", LinkRetrying)
	stopped, err := h.StopLink(context.Background(), "bad")
	if err != nil || stopped.State != LinkStopped {
		t.Fatalf("the answer is %+v, %v", stopped, err)
	}
	if err := os.Remove(h.path("bad", relay.B)); err != nil {
		t.Fatal(err)
	}
	started, err := h.StartLink(context.Background(), "bad")
	if err != nil || started.State != LinkWaiting {
		t.Fatalf("the answer is %+v, %v", started, err)
	}
}

func TestDisabled(t *testing.T) {
	h := startLike(t, func(l *config.Link) { l.Disabled = true })
	h.waitState("dbg", LinkStopped)
	if names := h.NotOpen(); len(names) > 0 {
		t.Errorf("a disabled link is missed: %v", names)
	}
	if _, err := os.Lstat(h.path("dbg", relay.A)); !os.IsNotExist(err) {
		t.Errorf("a disabled link has a socket: %v", err)
	}
	h.do(h.StartLink, LinkWaiting)
}

func TestOnDisconnectClose(t *testing.T) {
	h := startLike(t, func(l *config.Link) { l.OnDisconnect = config.OnDisconnectClose })
	for range 2 {
		a, b := h.up("dbg")
		go func() {
			a.Write([]byte("last words"))
			a.Close()
		}()
		readAll(t, b, "last words")
		h.waitState("dbg", LinkWaiting)
	}
}

// TestOnDisconnectCloseOfAStuckReader gives it a few seconds.
func TestOnDisconnectCloseOfAStuckReader(t *testing.T) {
	h := startLike(t, func(l *config.Link) { l.OnDisconnect = config.OnDisconnectClose })
	a, _ := h.up("dbg")
	a.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	if _, err := a.Write(make([]byte, 8<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the wire should be full, but the write gave %v", err)
	}
	a.Close()
	left := time.Now()
	h.waitState("dbg", LinkHalf)
	h.waitState("dbg", LinkWaiting)
	if took := time.Since(left); took < drainTime {
		t.Errorf("the stuck reader was closed after %s", took)
	}
}

func TestAbsent(t *testing.T) {
	for _, test := range []struct {
		absent config.Absent
		want   string // what the next peer gets of “0123456789”
	}{{config.AbsentDiscard, ""}, {config.AbsentHold, "0123456789"}, {config.AbsentBuffer, "6789"}} {
		t.Run(string(test.absent), func(t *testing.T) {
			h := startLike(t, func(l *config.Link) { l.Absent, l.BufferSize = test.absent, 4 })
			h.waitState("dbg", LinkWaiting)
			a := h.dial("dbg", relay.A)
			h.waitState("dbg", LinkHalf)
			if _, err := a.Write([]byte("0123456789")); err != nil {
				t.Fatal(err)
			}
			h.wait("dbg", "read", func(l Link) bool {
				e := l.Ends[relay.A]
				return e.Received == 10 && e.Discarded == uint64(10-len(test.want))
			})
			b := h.dial("dbg", relay.B)
			h.waitState("dbg", LinkUp)
			if _, err := a.Write([]byte("!")); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(test.want)+1)
			if _, err := io.ReadFull(b, got); err != nil || string(got) != test.want+"!" {
				t.Errorf("the next peer got %q, %v; want %q", got, err, test.want+"!")
			}
		})
	}
}

func TestSecondPeers(t *testing.T) {
	h := startLike(t, func(l *config.Link) { l.B.WhenBusy = config.BusyQueue })
	h.up("dbg")
	second := h.dial("dbg", relay.A)
	readAll(t, second, "")
	h.wait("dbg", "counted", func(l Link) bool { return l.Ends[relay.A].Rejected == 1 })
	waits, leaves := h.dial("dbg", relay.B), h.dial("dbg", relay.B)
	queued := h.wait("dbg", "queued", func(l Link) bool { return len(l.Ends[relay.B].Queued) == 2 })
	if peer := queued.Ends[relay.B].Queued[0]; peer.PID != os.Getpid() || peer.Command != "supervisor.test" {
		t.Errorf("who waits is %+v", peer)
	}
	leaves.Close()
	h.wait("dbg", "forgotten", func(l Link) bool { return len(l.Ends[relay.B].Queued) == 1 })
	if _, err := h.Reset(context.Background(), "dbg", relay.B); err != nil {
		t.Fatal(err)
	}
	up := h.wait("dbg", "up again", func(l Link) bool { return l.State == LinkUp && len(l.Ends[relay.B].Queued) == 0 })
	if up.Ends[relay.B].Connections != 2 || up.Sessions != 2 {
		t.Errorf("the link is %+v", up)
	}
	a, err := h.Reset(context.Background(), "dbg", relay.A)
	if err != nil || a.State != LinkHalf {
		t.Fatalf("%+v, %v", a, err)
	}
	carry(t, h.dial("dbg", relay.A), waits, "who waited has the end")
	for _, says := range []string{`msg="peer turned away" link=dbg end=a`, `reason="the end is taken" connected_pid=`, `msg="peer waits for the end" link=dbg end=b`} {
		h.waitLog(says)
	}
}

func TestAllowUIDs(t *testing.T) {
	h := startLike(t, func(l *config.Link) { l.A.AllowUIDs = []int{os.Getuid() + 1} })
	h.waitState("dbg", LinkWaiting)
	readAll(t, h.dial("dbg", relay.A), "")
	refused := h.wait("dbg", "refused", func(l Link) bool { return l.Ends[relay.A].Rejected == 1 })
	if refused.State != LinkWaiting || refused.Ends[relay.A].Connections != 0 {
		t.Errorf("the link is %+v", refused)
	}
	h.waitLog(`reason="its uid may not connect"`)
}

// TestDeletedSocketIsMadeAgain deletes both files under connected peers, who stay.
func TestDeletedSocketIsMadeAgain(t *testing.T) {
	h := startHub(t, "dbg")
	a, b := h.up("dbg")
	for _, side := range bothSides() {
		if err := os.Remove(h.path("dbg", side)); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for back := 0; back < 2; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the sockets do not come back")
		}
		back = 0
		for _, side := range bothSides() {
			if _, err := os.Lstat(h.path("dbg", side)); err == nil {
				back++
			}
		}
	}
	carry(t, a, b, "undisturbed")
	if link := h.waitState("dbg", LinkUp); link.Sessions != 1 || link.Failures != 0 {
		t.Errorf("the link is %+v", link)
	}
	b.Close()
	h.waitState("dbg", LinkHalf)
	b = h.dial("dbg", relay.B)
	carry(t, a, b, "through the new socket")
}

// TestReplacedSocketIsRetried puts a file in the place of a socket. The peer that is there stays; and so does the file.
func TestReplacedSocketIsRetried(t *testing.T) {
	h := startLike(t, func(l *config.Link) { l.Restart.Delay = 10 * time.Millisecond })
	a, b := h.up("dbg")
	path := h.path("dbg", relay.A)
	if err := os.WriteFile(path+"x", []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+"x", path); err != nil {
		t.Fatal(err)
	}
	failing := h.wait("dbg", "failing", func(l Link) bool { return l.Failures > 1 })
	if failing.State != LinkUp || !strings.Contains(failing.Last.Message, "is a file, not a socket") {
		t.Errorf("the link is %+v", failing)
	}
	carry(t, a, b, "undisturbed")
	a.Close()
	h.waitState("dbg", LinkRetrying)
	if content, err := os.ReadFile(path); err != nil || string(content) != "precious" {
		t.Errorf("the file holds %q, %v", content, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	h.waitState("dbg", LinkHalf)
	carry(t, h.dial("dbg", relay.A), b, "and again")
}

// TestErrorsOfTheSystem lets binding fail in ways that a test cannot bring about otherwise.
func TestErrorsOfTheSystem(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENOSPC, syscall.EPERM} {
		t.Run(errno.Error(), func(t *testing.T) {
			var broken atomic.Bool
			broken.Store(true)
			h := startWith(t, func(s *Supervisor) {
				for _, l := range s.links {
					l.config.Restart.Delay = 10 * time.Millisecond
				}
				s.links[1].parts.bind = func(spec endpoint.Spec) (endpoint.Listener, error) {
					if broken.Load() {
						return nil, os.NewSyscallError("bind", errno)
					}
					return new(endpoint.Opener).Bind(spec)
				}
			}, "good", "bad")
			failing := h.wait("bad", "failing", func(l Link) bool { return l.Failures > 3 })
			if failing.State != LinkRetrying || !strings.Contains(failing.Last.Message, errno.Error()) {
				t.Errorf("the link is %+v", failing)
			}
			a, b := h.up("good")
			carry(t, a, b, "undisturbed")
			broken.Store(false)
			a, b = h.up("bad")
			carry(t, a, b, "recovered")
		})
	}
}

// TestTooManyOpenFiles lets accept(2) fail with EMFILE while a peer is connected. It recovers, and nobody is lost.
func TestTooManyOpenFiles(t *testing.T) {
	h := startLike(t, func(l *config.Link) { l.Restart.Delay = 10 * time.Millisecond })
	h.waitState("dbg", LinkWaiting)
	a := h.dial("dbg", relay.A)
	h.waitState("dbg", LinkHalf)

	// The sockets of b's peer are made before the limit, and connected after.
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	low := limit
	low.Cur = 3
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: h.path("dbg", relay.B)})
	failing := h.wait("dbg", "failing", func(l Link) bool { return l.Failures > 2 })
	if restore := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || restore != nil {
		t.Fatal(err, restore)
	}
	if failing.State != LinkHalf || !strings.Contains(failing.Last.Message, "too many open files") {
		t.Errorf("the link is %+v", failing)
	}
	h.waitState("dbg", LinkUp)
	if _, err := a.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if n, err := syscall.Read(fd, got); err != nil || string(got[:n]) != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
}
