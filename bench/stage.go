package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// patience is how long anything may take that should be done much sooner, on a machine that may be busy.
const patience = time.Minute

// The sides of a link.
const (
	left = iota
	right
)

// stage is where the measurements take place.
type stage struct {
	dir  string        // temporary; each rig has a folder in it
	self string        // this program, to be started as a client
	time time.Duration // of one measured run
	made int           // folders so far
}

func newStage(run time.Duration) (*stage, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := tempDir()
	if err != nil {
		return nil, err
	}
	return &stage{dir: dir, self: self, time: run}, nil
}

// tempDir makes a folder where $TMPDIR says, or else in memory: on a disk, to make a socket's file can take longer than
// everything else that a start needs. Its name is short: a socket's path has 107 bytes.
func tempDir() (string, error) {
	if os.Getenv("TMPDIR") == "" {
		if dir, err := os.MkdirTemp("/dev/shm", "bench"); err == nil {
			return dir, nil
		}
	}
	return os.MkdirTemp("", "bench")
}

func (s *stage) close() error { return os.RemoveAll(s.dir) }

// lay prepares n links of a contender in a folder of their own.
func (s *stage) lay(c contender, n int) (*wires, error) {
	s.made++
	dir := filepath.Join(s.dir, fmt.Sprint(s.made))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	w, err := c.lay(dir, n, c.ends, c.keys)
	if err != nil {
		return nil, errors.Join(err, w.stop())
	}
	return w, nil
}

// rig is n links of a contender with a client process at each side. A failure ends the clients, and so what waits for
// them; its cause is the context's.
type rig struct {
	*wires
	links   int
	clients [2]*client
	ctx     context.Context
	cancel  context.CancelCauseFunc
}

// rig prepares n links and starts the clients, has work done, and ends everything again.
func (s *stage) rig(ctx context.Context, c contender, n int, work func(*rig) error) (err error) {
	ctx, stop := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not done after %v", patience))
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &rig{links: n, ctx: ctx, cancel: cancel}
	if r.wires, err = s.lay(c, n); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	for side, name := range []string{"left", "right"} {
		if r.clients[side], err = startClient(ctx, s.self, name, r.files[side]); err != nil {
			return err
		}
	}
	if err := r.closeFiles(); err != nil {
		return err
	}
	return work(r)
}

// close ends the clients first: a relay has nothing left to deliver then. It may not wait to be asked to end; socat fails when a terminal is hung up.
func (r *rig) close() error {
	var failures []error
	for _, p := range r.relays {
		p.excuse()
	}
	for _, c := range r.clients {
		if c != nil {
			failures = append(failures, c.close())
		}
	}
	if context.Cause(r.ctx) != nil {
		failures = nil // of clients that were ended; why, is known
	}
	return errors.Join(append(failures, r.stop())...)
}

// up launches the relays and connects both ends of every link. Nothing is lost from then on.
func (r *rig) up() error {
	if err := r.launch(); err != nil {
		return err
	}
	return r.connect()
}

// connect connects both ends of every link, and waits until the relay is ready.
func (r *rig) connect() error {
	_, err := r.atOnce(
		job{left, "Connect", r.way(left)},
		job{right, "Connect", r.way(right)})
	if err != nil {
		return err
	}
	return r.ready()
}

// way is what a client has to know to connect.
func (r *rig) way(side int) Work {
	way := Work{Medium: r.media[side], Addresses: r.addresses[side], Count: r.links}
	if way.Medium == encrypted {
		way.TLS = filepath.Join(r.dir, certificateName)
	}
	return way
}

// job is what one of the clients is to do.
type job struct {
	side int
	do   string // a method of Client
	work Work
}

// atOnce has jobs done at the same time, and returns when all are done. If one fails or a relay ends, the rig is
// of no use any more.
func (r *rig) atOnce(jobs ...job) ([]Result, error) {
	results := make([]Result, len(jobs))
	var group sync.WaitGroup
	for i, j := range jobs {
		group.Go(func() {
			if err := r.clients[j.side].call(j.do, j.work, &results[i]); err != nil {
				r.cancel(err)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	select {
	case <-done:
	case p := <-r.ended:
		r.cancel(p.gone())
		<-done
	}
	return results, context.Cause(r.ctx)
}

// cpuOf is the processor time that the relays take while jobs are done.
func (r *rig) cpuOf(jobs ...job) (time.Duration, []Result, error) {
	before, err := r.cpu()
	if err != nil {
		return 0, nil, err
	}
	results, err := r.atOnce(jobs...)
	if err != nil {
		return 0, nil, err
	}
	after, err := r.cpu()
	return after - before, results, err
}
