package guest

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"serialhub/internal/testenv"
)

// process is a program that runs in a guest.
type process struct {
	guest *guest
	id    int
	name  string

	mu      sync.Mutex
	output  []byte        // stdout and stderr
	heard   int           // how much of it hear has been through
	changed chan struct{} // closed when more is known
	last    reply         // how it has ended
}

// run runs a program in the guest to its end.
func (g *guest) run(t *testing.T, args ...string) (output string, code int) {
	t.Helper()
	return g.start(t, args...).wait(t)
}

// start starts a program in the guest. What it says on stdout and stderr can be heard.
func (g *guest) start(t *testing.T, args ...string) *process {
	t.Helper()
	p := g.newProcess(strings.Join(args, " "))
	p.ask(t, request{Args: args})
	return p
}

// newProcess gives a process a number.
func (g *guest) newProcess(name string) *process {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last++
	p := &process{guest: g, id: g.last, name: name, changed: make(chan struct{})}
	g.processes[p.id] = p
	if g.err != nil {
		p.take(reply{Ended: true, Error: g.err.Error()})
	}
	return p
}

// signal sends the process a signal; if it has ended, nothing happens.
func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	p.ask(t, request{Signal: s})
}

// ask sends a request about the process.
func (p *process) ask(t *testing.T, r request) {
	t.Helper()
	r.ID = p.id
	p.guest.asking.Lock()
	defer p.guest.asking.Unlock()
	if err := p.guest.requests.Encode(r); err != nil {
		t.Fatalf("%s in the guest: %v", p.name, err)
	}
}

// wait waits until the process has ended, and tells all that it has said.
func (p *process) wait(t *testing.T) (output string, code int) {
	t.Helper()
	if err := p.until(func() bool { return p.last.Ended }); err != nil {
		t.Fatalf("%v; it has said:\n%s", err, p.said())
	}
	if p.last.Error != "" {
		t.Fatalf("%s in the guest: %s", p.name, p.last.Error)
	}
	return string(p.output), p.last.Code
}

// said is the end of what the process has said by now.
func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return testenv.Tail(string(p.output))
}

// hear waits until the process has said something, after what was heard before.
func (p *process) hear(t *testing.T, text string) {
	t.Helper()
	found := false
	err := p.until(func() bool {
		if at := bytes.Index(p.output[p.heard:], []byte(text)); at >= 0 {
			p.heard += at + len(text)
			found = true
		}
		return found || p.last.Ended
	})
	if err != nil || !found {
		t.Fatalf("waiting for %q: %s in the guest has not said it: %v\n%s", text, p.name, err, p.said())
	}
}

// until waits for a condition on what is known of the process.
func (p *process) until(condition func() bool) error {
	deadline := time.After(patience)
	for {
		p.mu.Lock()
		holds, changed := condition(), p.changed
		p.mu.Unlock()
		if holds {
			return nil
		}
		select {
		case <-changed:
		case <-deadline:
			return fmt.Errorf("%s in the guest takes more than %v", p.name, patience)
		}
	}
}

// take takes in what is new of the process.
func (p *process) take(r reply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.output = append(p.output, r.Output...)
	if r.Ended {
		p.last = r
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// listen takes in what the guest says of its processes, until it says no more.
func (g *guest) listen(replies *gob.Decoder) {
	for {
		var r reply
		if err := replies.Decode(&r); err != nil {
			g.end(errors.Join(errors.New("the guest is gone"), err))
			return
		}
		g.mu.Lock()
		p := g.processes[r.ID]
		if r.Ended {
			delete(g.processes, r.ID)
		}
		g.mu.Unlock()
		if p != nil {
			p.take(r)
		}
	}
}

// end ends all processes with the guest.
func (g *guest) end(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = err
	for _, p := range g.processes {
		p.take(reply{Ended: true, Error: err.Error()})
	}
}
