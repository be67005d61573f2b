package console

import (
	"io"
	"sync"
)

// queue is between who types and who says it to a machine that may not listen: typing goes on, and so the keys that leave are heard.
type queue struct {
	limit int // bytes

	mu     sync.Mutex
	change sync.Cond
	bytes  []byte
	closed bool
}

func newQueue(limit int) *queue {
	q := &queue{limit: limit}
	q.change.L = &q.mu
	return q
}

// put adds bytes. It waits while the queue is full, and returns io.ErrClosedPipe if it is closed.
func (q *queue) put(p []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.bytes) >= q.limit && !q.closed {
		q.change.Wait()
	}
	if q.closed {
		return io.ErrClosedPipe
	}
	q.bytes = append(q.bytes, p...)
	q.change.Broadcast()
	return nil
}

// take waits for bytes, and takes all. It returns io.EOF when the queue is closed and empty.
func (q *queue) take() ([]byte, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.bytes) == 0 && !q.closed {
		q.change.Wait()
	}
	if len(q.bytes) == 0 {
		return nil, io.EOF
	}
	p := q.bytes
	q.bytes = nil
	q.change.Broadcast()
	return p, nil
}

// close lets what is there be taken, and nothing more be added.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.change.Broadcast()
}
