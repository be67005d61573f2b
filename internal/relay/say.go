package relay

import "errors"

// Why nothing could be said to a peer.
var (
	ErrTaken  = errors.New("somebody is connected at the other end")
	ErrNoRead = errors.New("the peer does not read")
)

// Say says data to the peer at an end, as if it came from the other one; where somebody is connected, only if inject is true. It
// returns how much of it there was room for, which may be none, and ErrNobody or ErrTaken.
func (k *Link) Say(to Side, data []byte, inject bool) (said int, err error) {
	err = errOver
	k.loop.call(k, func() {
		if k.over || k.ending || k.resting {
			return
		}
		defer k.settle()
		lane := k.lanes[to.Other()]
		k.noticeHangup(k.ends[to])
		switch {
		case k.ends[to].peer == nil || k.ends[to].peer.closing:
			err = ErrNobody
			return
		case lane.from.peer != nil && !inject:
			err = ErrTaken
			return
		}
		err = nil
		k.pump(lane, 0)
		if k.ends[to].peer == nil {
			err = ErrNobody
		} else if !lane.pending() && lane.hasPipe() {
			said = min(len(data), lane.pipe.room)
			lane.announce()
			lane.pipe.write(data[:said])
			lane.show(said)
			k.pump(lane, 0)
		}
	})
	return said, err
}
