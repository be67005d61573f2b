package endpoint

import (
	"errors"
	"time"
)

// Serial is how a serial port talks.
type Serial struct {
	Baud        int
	DataBits    int    // 5 to 8
	Parity      string // none, odd, even, mark or space
	StopBits    int    // 1 or 2
	FlowControl string // none, hardware (RTS/CTS) or software (XON/XOFF)
}

// errUnplugged is why a serial port leaves.
var errUnplugged = errors.New("the device has been unplugged, or hung up")

func openDevice(Spec) (Peer, error) { return Peer{}, errors.ErrUnsupported }

func adoptDevice(int, Spec) (Peer, error) { return Peer{}, errors.ErrUnsupported }

func (s Serial) apply(int) error { return errors.ErrUnsupported }

func sendBreak(int, time.Duration) error { return errors.ErrUnsupported }
