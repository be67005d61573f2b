package watch

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/client"
)

// visit is a way to come to a link, and to go again.
type visit struct {
	name string
	make func(*visitor)
}

// visitor makes visits. It is for one goroutine, and any of what it does may be refused.
type visitor struct {
	h *hub
}

// run runs a client until it has been there for a moment, and ends it by a signal.
func (v *visitor) run(signal unix.Signal, arguments ...string) {
	c := v.h.command(arguments...)
	c.Stdin, c.Stdout, c.Stderr = nil, nil, nil
	if c.Start() != nil {
		return
	}
	v.moment()
	c.Process.Signal(signal)
	if signal == unix.SIGSTOP {
		v.moment()
		c.Process.Kill()
	}
	c.Wait()
}

// moment lets some time pass, in which a visit may or may not come to something.
func (v *visitor) moment() { <-time.After(time.Duration(rand.IntN(40)) * time.Millisecond) }

// reset is a stream by TCP that is read a little, and whose connection is broken.
func (v *visitor) reset(path string) {
	conn, err := net.Dial("tcp", v.h.tcp)
	if err != nil {
		return
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path)
	conn.SetReadDeadline(time.Now().Add(patience))
	io.ReadFull(conn, make([]byte, 200))
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

// attach is a peer of end b that says something, and leaves; or is forgotten, which breaks the connection.
func (v *visitor) attach(replace, leave bool) {
	hub := client.New(client.Place{Addresses: []client.Address{{Network: "tcp", Address: v.h.tcp}}}, "")
	defer hub.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	attached, err := hub.Attach(ctx, "dbg", "b", replace)
	if err != nil {
		return
	}
	attached.Write([]byte("hello"))
	attached.Read(make([]byte, 100))
	if leave {
		attached.Leave()
		return
	}
	cancel()
	attached.Read(make([]byte, 100)) // which closes the connection
	attached.Leave()
}

func visits() []visit {
	return []visit{
		{"tap that is killed", func(v *visitor) { v.run(unix.SIGKILL, "tap", "dbg") }},
		{"tap that is left", func(v *visitor) { v.run(unix.SIGINT, "tap", "dbg", "--format", "json") }},
		{"tap that stands still and is killed", func(v *visitor) { v.run(unix.SIGSTOP, "tap", "dbg", "--format", "raw") }},
		{"tap that ends", func(v *visitor) { v.run(0, "tap", "dbg", "--since-start", "--no-follow") }},
		{"tap that is reset", func(v *visitor) { v.reset("/links/dbg/tap?format=pcapng") }},
		{"tap that is refused", func(v *visitor) { v.reset("/links/dbg/tap?format=xml") }},
		{"events that are killed", func(v *visitor) { v.run(unix.SIGKILL, "events") }},
		{"events that are left", func(v *visitor) { v.run(unix.SIGINT, "events", "dbg", "-o", "json") }},
		{"events that stand still and are killed", func(v *visitor) { v.run(unix.SIGSTOP, "events") }},
		{"events that are reset", func(v *visitor) { v.reset("/events") }},
		{"events of no link", func(v *visitor) { v.reset("/events?link=none") }},
		{"wait for a state that is killed", func(v *visitor) { v.run(unix.SIGKILL, "wait", "dbg", "--for", "failed") }},
		{"wait that is killed", func(v *visitor) { v.run(unix.SIGKILL, "wait", "dbg", "--text", "never") }},
		{"attach that is killed", func(v *visitor) { v.run(unix.SIGKILL, "attach", "dbg", "--end", "b") }},
		{"attach that replaces", func(v *visitor) { v.attach(true, true) }},
		{"attach that is broken off", func(v *visitor) { v.attach(true, false) }},
		{"attach, perhaps refused", func(v *visitor) { v.attach(false, true) }},
		{"send", func(v *visitor) { v.run(0, "send", "dbg", "--to", "a", "x") }},
		{"send that is killed", func(v *visitor) { v.run(unix.SIGKILL, "send", "dbg", "--to", "a", "--inject", "x") }},
	}
}

// spares is how many descriptors of pipes a hub may keep for the next who needs one.
const spares = 8

// However watchers, senders and attached peers come and go, the hub keeps nothing of them.
func TestNothingIsLeftOfVisitors(t *testing.T) {
	const workers, each = 4, 57
	h := startHub(t, link())
	a := h.dial("a")
	var machine sync.WaitGroup
	machine.Go(func() { io.Copy(io.Discard, a) })
	machine.Go(func() { // speaks all the time
		line := []byte(garbage(1000))
		for {
			if _, err := a.Write(line); err != nil {
				return
			}
			<-time.After(time.Millisecond)
		}
	})
	quiet := func() (open string, pipes, tapes int) {
		t.Helper()
		h.waitLink("without who was attached", func(s status) bool { return s.Ends["b"].Peer == nil })
		return h.descriptors()
	}
	all := visits()
	for _, one := range all { // what is opened once, and kept
		one.make(&visitor{h: h})
	}
	before, pipesBefore := "", 0
	h.eventually("nobody is there", func() error {
		open, pipes, tapes := quiet()
		if open != before || tapes > 0 {
			before, pipesBefore = open, pipes
			return fmt.Errorf("%s are open, and %d tapes are there", open, tapes)
		}
		return nil
	})
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for n := range each {
				all[(n+rand.IntN(3))%len(all)].make(&visitor{h: h})
			}
		})
	}
	running.Wait()
	h.eventually("the hub has as many descriptors as before", func() error {
		open, pipes, tapes := quiet()
		if open != before || pipes > pipesBefore+spares || tapes > 0 {
			return fmt.Errorf("%s and %d of pipes are open, %s and %d were before; and %d tapes are there", open, pipes, before, pipesBefore, tapes)
		}
		return nil
	})
	b := h.dial("b")
	h.waitState("up")
	say(t, b, "x")
	a.Close()
	machine.Wait()
}
