package continuity

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

const oneLink = "  - {name: dbg, a: a, b: b}\n"

// TestBytesOutliveTheHub interrupts the hub at random moments while bytes flow both ways, and some interruptions itself. The peers stay
// connected, every byte arrives once, and what the API tells goes on.
func TestBytesOutliveTheHub(t *testing.T) {
	times, size := sized(50, 12), sized[int64](200<<20, 30<<20)
	each(t, interruptions(), oneLink, func(t *testing.T, s *service, cause interruption) {
		a, b := s.dial("a"), s.dial("b")
		before, hub := s.waitState("dbg", "up"), s.status()
		p := newProgress(2*size, times)
		f := startFlow(a, b, size, p)
		inTime := 0
		for range times {
			if rand.IntN(4) == 0 { // meet a process that has only just begun
				pass(time.Duration(rand.Int64N(int64(30 * time.Millisecond))))
			} else {
				p.await(t)
			}
			if !f.done() {
				inTime++
			}
			cause.happen(s)
		}
		standstill, err := f.wait()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d of %d times in the midst of it, the longest standstill was %v", inTime, times, standstill)
		converse(t, a, b)
		checkStatus(t, s, cause, before, hub, size)
	})
}

// checkStatus checks what the hub tells after its interruptions: as if nothing had been, if it was replaced. The next hub counts afresh.
func checkStatus(t *testing.T, s *service, cause interruption, before linkStatus, hub hubStatus, size int64) {
	t.Helper()
	counted := func(status linkStatus) bool {
		a, b := status.Ends["a"], status.Ends["b"]
		return a.ReceivedBytes == b.SentBytes && b.ReceivedBytes == a.SentBytes &&
			a.ReceivedBytes == size+int64(len("from a to b")) && b.ReceivedBytes == size+int64(len("and back"))
	}
	after := s.waitLink("dbg", "counted", func(status linkStatus) bool { return !cause.replace || counted(status) })
	if after.State != "up" || after.Sessions != 1 || cause.replace && !after.Since.Equal(before.Since) {
		t.Errorf("the link was %+v and is %+v", before, after)
	}
	for name, end := range after.Ends {
		was := before.Ends[name]
		if cause.replace && !end.Since.Equal(was.Since) || end.Connections != 1 || end.Peer == nil || *end.Peer != *was.Peer || end.DiscardedBytes > 0 {
			t.Errorf("end %s was %+v and is %+v", name, was, end)
		}
	}
	now := s.status()
	if cause.replace && (now.PID != hub.PID || !now.StartedAt.Equal(hub.StartedAt)) {
		t.Errorf("the hub was %+v and is %+v", hub, now)
	}
}

// TestReplacedWhileItIsReplaced asks for the next program while the hub is becoming one, and for a reload.
func TestReplacedWhileItIsReplaced(t *testing.T) {
	s := newService(t, hubBinary, false, oneLink)
	s.start()
	s.ready()
	a, b := s.dial("a"), s.dial("b")
	s.waitState("dbg", "up")
	for range sized(200, 40) {
		s.program.upgrade(t)
		s.signal(syscall.SIGUSR2)
		pass(time.Duration(rand.Int64N(int64(20 * time.Millisecond))))
		s.signal([]syscall.Signal{syscall.SIGUSR2, syscall.SIGHUP}[rand.IntN(2)])
		s.until("replaced", func() error { return unless(s.program.runs(s.process.pid), "it is the old program") })
	}
	converse(t, a, b)
	s.waitState("dbg", "up")
}

// TestAPIAnswersWhileTheHubIsReplaced asks the API again and again. It may hang up in the middle of a question, and never refuses one.
func TestAPIAnswersWhileTheHubIsReplaced(t *testing.T) {
	s := newService(t, hubBinary, false, oneLink)
	s.start()
	s.ready()
	quit, ended := make(chan struct{}), make(chan map[string]int, 1)
	go func() {
		answers := map[string]int{}
		for {
			select {
			case <-quit:
				ended <- answers
				return
			default:
				answers[kindOf(s.get("/status", nil))]++
			}
		}
	}()
	for range sized(50, 12) {
		s.replace()
		s.ready()
	}
	close(quit)
	answers := <-ended
	t.Logf("the API's answers: %v", answers)
	if answers["refused"] > 0 {
		t.Errorf("%d questions were refused", answers["refused"])
	}
}
