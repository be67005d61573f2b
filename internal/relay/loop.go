// Package relay is the wire: it moves bytes between the two ends of a link, through kernel pipes.
package relay

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Loop waits for the descriptors of many links and runs their handlers, one after another on one goroutine,
// in the order in which the kernel saw them become ready. A handler never blocks, so no link waits for another.
//
// The epoll instance is level-triggered (epoll(7)): while a descriptor can do what its watch is interested in, its
// handler is called again. A handler may therefore leave work for the next round, and has to take back its interest
// in what it cannot use.
type Loop struct {
	epfd    int
	wakefd  int            // an eventfd that interrupts epoll_wait when something was posted
	scratch []byte         // a chunk, for bytes that go through user space
	pool    pool           // of pipes; touched by handlers only
	spy     *spy           // nil until it is needed, or if there can be none; touched by handlers only
	watches map[int]*watch // by descriptor; touched by handlers only
	serial  int32          // tells a watch from an earlier one of the same descriptor number
	resting []*watch       // that are left alone until the rest is over
	rested  time.Time      // when it is
	later   []*Link        // that wait for something of which epoll does not tell

	mu     sync.Mutex
	posted []task
	ended  bool
	done   chan struct{} // closed once nothing runs on the loop any more
}

// watch is the interest in one descriptor.
type watch struct {
	fd     int
	serial int32
	events uint32
	owner  *Link
	handle func(events uint32)
	rests  bool // it is left alone for a moment; its events wait
}

// task is what another goroutine wants done on the loop, on behalf of owner.
type task struct {
	owner *Link
	do    func()
}

// PanicError is a panic in a link's handler, turned into a failure of that link alone.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// NewLoop makes a loop that keeps its pipes in a vault, which may be nil, and takes over those that an earlier process has left
// there. It owns them and two more descriptors, which Run closes when it returns.
func NewLoop(vault Vault, pipes []Pipe) (*Loop, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	wakefd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epfd) // nothing is registered with it
		return nil, os.NewSyscallError("eventfd", err)
	}
	l := &Loop{epfd: epfd, wakefd: wakefd, scratch: make([]byte, chunk), watches: map[int]*watch{}, done: make(chan struct{})}
	l.pool = pool{vault: vault, found: map[uint64]*pipe{}}
	if err := l.pool.inherit(pipes); err != nil {
		l.closeDescriptors()
		return nil, fmt.Errorf("a pipe that was left cannot be used: %w", err)
	}
	if _, err := l.watch(wakefd, unix.EPOLLIN, nil, func(uint32) { l.drainWake() }); err != nil {
		l.closeDescriptors()
		return nil, err
	}
	return l, nil
}

// Run handles events until Stop. It returns nil then, and an error only if epoll itself fails.
func (l *Loop) Run() error {
	defer l.end()
	events := make([]unix.EpollEvent, 128)
	for {
		n, err := l.wait(events)
		if err != nil {
			return err
		}
		for _, event := range events[:n] {
			// A handler of this batch may have closed the descriptor and opened another of the same number.
			if w := l.watches[int(event.Fd)]; w != nil && w.serial == event.Pad {
				guard(w.owner, func() { w.handle(event.Events) })
			}
		}
		l.pool.feed()
		l.lookAgain()
		if ended := l.runPosted(); ended {
			return nil
		}
	}
}

// Stop makes Run return once it has done what was posted before. It is safe to call from any goroutine, more than once.
func (l *Loop) Stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.ended = true
		l.wake()
	}
}

// Done is closed once Run has returned, and nothing is reported any more.
func (l *Loop) Done() <-chan struct{} { return l.done }

// call runs do on the loop and waits for it; once the loop has been stopped, it does nothing. It is safe to call from
// any goroutine but the loop's own.
func (l *Loop) call(owner *Link, do func()) {
	ran := make(chan struct{})
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return
	}
	l.posted = append(l.posted, task{owner, func() { defer close(ran); do() }})
	if len(l.posted) == 1 {
		l.wake()
	}
	l.mu.Unlock()
	select {
	case <-ran:
	case <-l.done:
	}
}

// runPosted runs what was posted until now, and tells whether the loop has been stopped.
func (l *Loop) runPosted() bool {
	l.mu.Lock()
	posted, ended := l.posted, l.ended
	l.posted = nil
	l.mu.Unlock()
	for _, task := range posted {
		guard(task.owner, task.do)
	}
	return ended
}

// wake interrupts epoll_wait; the caller holds mu and the loop has not ended. The eventfd's counter cannot overflow: it is read at each wake-up.
func (l *Loop) wake() {
	one := [8]byte{1}
	unix.Write(l.wakefd, one[:]) //nolint:errcheck // EAGAIN means that a wake-up is on its way already
}

func (l *Loop) drainWake() {
	var count [8]byte
	unix.Read(l.wakefd, count[:]) //nolint:errcheck // only to make it unreadable again
}

// guard runs a handler; if it panics, its link fails and the loop goes on.
func guard(owner *Link, do func()) {
	defer func() {
		if value := recover(); value != nil {
			if owner == nil {
				panic(value)
			}
			owner.fail(&PanicError{Value: value, Stack: debug.Stack()})
		}
	}()
	do()
}

// watch calls handle, on the loop, whenever fd is ready for one of events. The descriptor stays the caller's,
// who calls unwatch before closing it.
func (l *Loop) watch(fd int, events uint32, owner *Link, handle func(events uint32)) (*watch, error) {
	l.serial++
	w := &watch{fd: fd, serial: l.serial, events: events, owner: owner, handle: handle}
	if err := unix.EpollCtl(l.epfd, unix.EPOLL_CTL_ADD, fd, w.event()); err != nil {
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	l.watches[fd] = w
	return w, nil
}

func (w *watch) event() *unix.EpollEvent {
	return &unix.EpollEvent{Events: w.events, Fd: int32(w.fd), Pad: w.serial}
}

// wait waits for events, and lets the watches that rest go on when their time is over.
func (l *Loop) wait(events []unix.EpollEvent) (n int, err error) {
	switch {
	case len(l.resting) > 0:
		n, err = epollWaitFor(l.epfd, events, time.Until(l.rested))
		if !time.Now().Before(l.rested) {
			l.wakeUp()
		}
	case len(l.later) > 0:
		n, err = epollWaitFor(l.epfd, events, laterTime)
	case len(l.pool.hungry) > 0:
		n, err = epollWaitFor(l.epfd, events, hungryTime)
	default:
		n, err = unix.EpollWait(l.epfd, events, -1)
	}
	if err != nil && !errors.Is(err, unix.EINTR) {
		return 0, os.NewSyscallError("epoll_wait", err)
	}
	return max(n, 0), nil
}

// laterTime is how long settleLater waits at most.
const laterTime = 10 * time.Millisecond

// settleLater has a link settle again in a moment.
func (l *Loop) settleLater(k *Link) {
	if !slices.Contains(l.later, k) {
		l.later = append(l.later, k)
	}
}

func (l *Loop) lookAgain() {
	links := l.later
	l.later = nil
	for _, k := range links {
		guard(k, k.settle)
	}
}

// epollWaitFor is epoll_pwait2(2): epoll_wait with a timeout that may be shorter than a millisecond. Before Linux 5.11 such a
// timeout is none.
func epollWaitFor(epfd int, events []unix.EpollEvent, timeout time.Duration) (int, error) {
	spec := unix.NsecToTimespec(max(int64(timeout), 0))
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(epfd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(unsafe.Pointer(&spec)), 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case unix.ENOSYS:
		return unix.EpollWait(epfd, events, int(timeout.Milliseconds()))
	default:
		return 0, errno
	}
}

// rest has a watch left alone for a moment, except for EPOLLHUP and EPOLLERR.
func (l *Loop) rest(w *watch) {
	if w.rests || l.watches[w.fd] != w {
		return
	}
	if len(l.resting) == 0 {
		l.rested = time.Now().Add(restTime)
	}
	events := w.events
	l.interest(w, 0)
	w.events, w.rests = events, true
	l.resting = append(l.resting, w)
}

// wakeUp ends the rest of all watches.
func (l *Loop) wakeUp() {
	for _, w := range l.resting {
		w.rests = false
		if events := w.events; l.watches[w.fd] == w && events != 0 {
			w.events = 0
			l.interest(w, events)
		}
	}
	l.resting = l.resting[:0]
}

// interest changes what the watch waits for; EPOLLHUP and EPOLLERR are always reported.
func (l *Loop) interest(w *watch, events uint32) {
	if w.events == events {
		return
	}
	w.events = events
	if w.rests || l.watches[w.fd] != w { // it gets them when its rest is over, or is not watched any more
		return
	}
	if err := unix.EpollCtl(l.epfd, unix.EPOLL_CTL_MOD, w.fd, w.event()); err != nil {
		panic(os.NewSyscallError("epoll_ctl", err)) // only a bug can cause it: the descriptor is watched
	}
}

func (l *Loop) unwatch(w *watch) {
	if l.watches[w.fd] != w {
		return
	}
	delete(l.watches, w.fd)
	unix.EpollCtl(l.epfd, unix.EPOLL_CTL_DEL, w.fd, nil) //nolint:errcheck // the watch is gone either way
}

// end is the last thing that Run does.
func (l *Loop) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.pool.close()
	l.spy.close()
	l.closeDescriptors()
	close(l.done)
}

func (l *Loop) closeDescriptors() {
	unix.Close(l.wakefd) // the last use
	unix.Close(l.epfd)   // the last use
}
