package relay

// Rules are how a link behaves when peers come and go. The zero Rules keep a link up for ever, drop what is sent to
// nobody, and turn a second peer away.
type Rules struct {
	Absent     Absent
	BufferSize int  // bytes, for Buffer
	CloseBoth  bool // when a peer leaves, the other is closed once it has got what was sent to it
	EndAfter   Loss
	Ends       [2]EndRules // by Side
}

// EndRules are what holds for one end.
type EndRules struct {
	Busy      Busy
	AllowUIDs []int // who may connect; empty for everybody
}

// Absent says what happens to bytes for an end where nobody is.
type Absent int

// What can happen to them.
const (
	Discard Absent = iota // they are read and dropped
	Hold                  // they stay in the pipe and, once that is full, with their sender
	Buffer                // the newest of them are kept in memory
)

// Busy says what happens to a second peer at an end.
type Busy int

// What can happen to it.
const (
	Reject  Busy = iota // it is closed at once
	Replace             // it takes the place of the first one
	Queue               // it waits until the first one leaves
)

// Loss says which departures end the link. It then delivers what was sent, and closes.
type Loss int

// The kinds of departures. One that the link itself has brought about is not a loss.
const (
	NoLoss    Loss = iota
	CleanLoss      // the peer closed its socket in an orderly way
	AnyLoss
)

// allows tells whether a peer of that uid may connect.
func (r *EndRules) allows(uid int) bool {
	for _, allowed := range r.AllowUIDs {
		if uid == allowed {
			return true
		}
	}
	return len(r.AllowUIDs) == 0
}

// endedBy tells whether a peer that left with err, nil for a clean close, ends the link.
func (l Loss) endedBy(err error) bool {
	return l == AnyLoss || l == CleanLoss && err == nil
}
