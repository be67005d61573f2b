package relay

import "fmt"

// This file is what becomes of bytes whose receiver is not there, or has gone.

// keep puts data into the buffer, which drops what it has no room for.
func (l *lane) keep(data []byte) {
	l.discarded(l.buffer.add(data))
}

// replay moves bytes from the buffer into the pipe, and returns how many. The lane holds none.
func (l *lane) replay() int {
	if !l.hasPipe() {
		return 0
	}
	return l.buffer.moveTo(l.pipe)
}

// takeBack moves the pipe's bytes, which a receiver has not taken, to the front of the buffer.
func (l *lane) takeBack() {
	newer := append([]byte(nil), l.buffer.oldest()...)
	l.buffer.remove(len(newer))
	newer = append(newer, l.buffer.oldest()...)
	l.buffer.remove(l.buffer.len())
	for l.held() > 0 {
		l.keep(l.scratch[:l.pipe.read(l.scratch)])
	}
	l.returnPipe()
	l.keep(newer)
}

// drop drops what the pipe holds.
func (l *lane) drop() {
	for l.held() > 0 {
		l.discarded(l.pipe.read(l.scratch))
	}
	l.returnPipe()
	l.full = false
}

func (l *lane) discarded(n int) {
	if n > 0 {
		l.from.count.Discarded.Add(uint64(n))
	}
}

// strand deals with what was said to a receiver that has gone: what the pipe holds, and of what waits behind it in the sender's
// socket the first stale bytes; all of them, if the receiver had been slow. Under Discard the next receiver must not get any of
// it. The caller has taken the receiver off the end.
func (l *lane) strand(stale int) {
	if l.slow {
		stale = l.unread()
	}
	l.slow = false
	switch l.absent {
	case Hold:
		return
	case Buffer:
		l.takeBack()
	case Discard:
		l.discarded(l.buffer.len())
		l.buffer.remove(l.buffer.len())
		l.drop()
	}
	if l.absent != Buffer && l.buffer != nil && l.buffer.len() == 0 {
		l.buffer.close()
		l.buffer = nil
		l.link.changed = true
	}
	for len(l.left) > 0 && l.fill(0) > 0 {
	}
	for l.absent == Discard && stale > 0 {
		n := l.fill(stale)
		if n == 0 {
			return
		}
		stale -= n
	}
}

// setAbsent changes what happens to bytes for nobody, and the size of the buffer for them.
func (l *lane) setAbsent(absent Absent, size int) error {
	l.absent, l.full = absent, false
	var err error
	if absent == Buffer && l.buffer.limit() != size {
		err = l.resize(size)
	}
	if l.to.peer == nil {
		l.strand(0)
	}
	return err
}

// resize gives the lane a buffer of another size, with the newest of what is in the one that it has.
func (l *lane) resize(size int) error {
	larger, err := newRing(size)
	if err != nil {
		return fmt.Errorf("no buffer of %d bytes can be made: %w", size, err)
	}
	old := l.buffer
	l.buffer = larger
	for old.len() > 0 {
		oldest := old.oldest()
		l.keep(oldest)
		old.remove(len(oldest))
	}
	old.close()
	l.link.changed = true
	return nil
}
