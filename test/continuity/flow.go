package continuity

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// flow is a stream in each direction between two peers.
type flow struct {
	streams [2]*stream
	running sync.WaitGroup
	flowing atomic.Int32 // parts that are not done
	failed  chan error
}

// startFlow lets size bytes flow each way.
func startFlow(a, b conn, size int64, p *progress) *flow {
	f := &flow{failed: make(chan error, 4)}
	seed := byte(rand.Uint32())
	f.streams = [2]*stream{{from: a, to: b, seed: seed, size: size}, {from: b, to: a, seed: seed + 1, size: size}}
	for _, s := range f.streams {
		s.received = p.count
		for _, part := range []func() error{s.send, s.receive} {
			f.flowing.Add(1)
			f.running.Go(func() {
				defer f.flowing.Add(-1)
				if err := part(); err != nil {
					f.failed <- err
					p.fail(err)
					a.Close() // so that the others need not wait
					b.Close()
				}
			})
		}
	}
	return f
}

// done tells whether everything has arrived.
func (f *flow) done() bool { return f.flowing.Load() == 0 }

// wait returns when everything has arrived as it was sent, and how long the longest standstill was.
func (f *flow) wait() (longest time.Duration, err error) {
	f.running.Wait()
	select {
	case err := <-f.failed:
		return 0, err
	default:
	}
	for _, s := range f.streams {
		err = errors.Join(err, s.check())
		longest = max(longest, s.standstill)
	}
	return longest, err
}
