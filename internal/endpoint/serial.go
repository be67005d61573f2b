package endpoint

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Serial is how a serial port talks.
type Serial struct {
	Baud        int
	DataBits    int    // 5 to 8
	Parity      string // none, odd, even, mark or space
	StopBits    int    // 1 or 2
	FlowControl string // none, hardware (RTS/CTS) or software (XON/XOFF: the bytes 0x11 and 0x13 cannot be sent then)
}

// String gives the settings as they are said, such as “9600 baud 8N1”.
func (s Serial) String() string {
	text := fmt.Sprintf("%d baud %d%.1s%d", s.Baud, s.DataBits, strings.ToUpper(s.Parity), s.StopBits)
	if s.FlowControl != "none" {
		text += " with " + s.FlowControl + " flow control"
	}
	return text
}

const (
	parityBits = unix.PARENB | unix.PARODD | unix.CMSPAR
	rateBits   = unix.CBAUD | unix.CIBAUD
	xonXoff    = unix.IXON | unix.IXOFF
)

// parities are the flags of c_cflag for each parity, as in termios(3).
func parities() map[string]uint32 {
	return map[string]uint32{
		"none":  0,
		"odd":   unix.PARENB | unix.PARODD,
		"even":  unix.PARENB,
		"mark":  unix.PARENB | unix.PARODD | unix.CMSPAR,
		"space": unix.PARENB | unix.CMSPAR,
	}
}

// wanted gives the settings of a port, which has others now: raw, and as s says. What the kernel could not know for wrong is an error; what the
// port cannot do is seen when it has been set.
func (s Serial) wanted(now unix.Termios) (unix.Termios, error) {
	parity, known := parities()[s.Parity]
	switch {
	case s.Baud <= 0 || s.Baud > math.MaxUint32: // 0 would hang up
		return now, fmt.Errorf("a serial port cannot have %d baud", s.Baud)
	case s.DataBits < 5 || s.DataBits > 8:
		return now, fmt.Errorf("a serial port cannot have %d data bits; it can have 5 to 8", s.DataBits)
	case !known:
		return now, fmt.Errorf("%q is not a parity; write none, odd, even, mark or space", s.Parity)
	case s.StopBits != 1 && s.StopBits != 2:
		return now, fmt.Errorf("a serial port cannot have %d stop bits; it can have 1 or 2", s.StopBits)
	}
	want := now
	// HUPCL stays as it is found, which is set unless somebody has changed it: DTR falls when the port is closed, so that what hangs on it
	// sees that nobody is there, as with any other program. It does not fall when the hub is restarted, because the port stays open.
	want.Cflag = now.Cflag&^(unix.CSIZE|unix.CSTOPB|unix.CRTSCTS|parityBits|rateBits) |
		unix.CREAD | unix.CLOCAL | unix.BOTHER | sizes()[s.DataBits] | parity
	if s.StopBits == 2 {
		want.Cflag |= unix.CSTOPB
	}
	// Without IGNBRK and PARMRK, a break that comes in reads as a NUL byte, and a byte with an error as it is; so does everybody else's raw mode.
	want.Iflag, want.Oflag, want.Lflag = 0, 0, 0
	switch s.FlowControl {
	case "none":
	case "hardware":
		want.Cflag |= unix.CRTSCTS
	case "software":
		want.Iflag |= xonXoff
	default:
		return now, fmt.Errorf("%q is not a way of flow control; write none, hardware or software", s.FlowControl)
	}
	want.Cc[unix.VSTART], want.Cc[unix.VSTOP] = 0x11, 0x13
	want.Cc[unix.VMIN], want.Cc[unix.VTIME] = 1, 0 // with 0, a read of nothing would look like the end
	want.Ispeed, want.Ospeed = uint32(s.Baud), uint32(s.Baud)
	return want, nil
}

// sizes are the flags of c_cflag for a number of data bits.
func sizes() map[int]uint32 {
	return map[int]uint32{5: unix.CS5, 6: unix.CS6, 7: unix.CS7, 8: unix.CS8}
}

// serialOf tells what a port's settings are.
func serialOf(t unix.Termios) Serial {
	s := Serial{Baud: int(t.Ospeed), Parity: "none", StopBits: 1, FlowControl: "none"}
	for bits, flags := range sizes() {
		if t.Cflag&unix.CSIZE == flags {
			s.DataBits = bits
		}
	}
	for parity, flags := range parities() {
		if t.Cflag&unix.PARENB != 0 && t.Cflag&parityBits == flags {
			s.Parity = parity
		}
	}
	if t.Cflag&unix.CSTOPB != 0 {
		s.StopBits = 2
	}
	switch {
	case t.Cflag&unix.CRTSCTS != 0:
		s.FlowControl = "hardware"
	case t.Iflag&xonXoff == xonXoff:
		s.FlowControl = "software"
	}
	return s
}

// same tells whether settings are the same but for how a rate is written: the kernel makes Bnnn of BOTHER where there is one.
func same(a, b unix.Termios) bool {
	a.Cflag, b.Cflag = a.Cflag&^rateBits, b.Cflag&^rateBits
	return a == b
}

// turnover is how long what was written before may take to be sent before the settings change.
const turnover = time.Second

// apply changes the settings of an open port, if they are not what they shall be. Nothing in its queues is lost; what was written
// before is sent in the old way if that is done within a second, for which this may block. It does not wait longer, as TCSADRAIN of tcsetattr(3)
// would: wrong flow control may be just what has stopped the port. With an error the settings stay as they were.
func (s Serial) apply(fd int) error {
	old, err := settings(fd)
	if err != nil {
		return err
	}
	want, err := s.wanted(*old)
	if err != nil || same(want, *old) {
		return err
	}
	drain(fd, turnover) //nolint:errcheck // see above
	if err := unix.IoctlSetTermios(fd, unix.TCSETS2, &want); err != nil {
		return os.NewSyscallError("ioctl TCSETS2", err)
	}
	// The call succeeds if the driver could do any of it, so only the settings themselves tell.
	got, err := settings(fd)
	if err != nil {
		return err
	}
	if gave := serialOf(*got); !s.isMetBy(gave) {
		unix.IoctlSetTermios(fd, unix.TCSETS2, old) //nolint:errcheck // the first error is the one to report
		return fmt.Errorf("%s cannot have %v; its driver makes %v of it: choose what both sides can", ttyOf(fd), s, gave)
	}
	return nil
}

// isMetBy tells whether a port that was asked for s talks so: its rate may be up to 3 % off, which a receiver bears.
func (s Serial) isMetBy(gave Serial) bool {
	near := math.Abs(float64(gave.Baud-s.Baud)) <= 0.03*float64(s.Baud)
	gave.Baud = s.Baud
	return near && gave == s
}

// settings reads those of a port; an EIO says that it has been unplugged, or has no hardware.
func settings(fd int) (*unix.Termios, error) {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS2)
	return t, os.NewSyscallError("ioctl TCGETS2", err)
}

// errStuck says that a port does not send.
var errStuck = errors.New("it has not sent what was written to it: its flow control may be wrong, or the other side does not read")

// drain waits until what was written has been sent, as tcdrain(3) does, but no longer than limit.
func drain(fd int, limit time.Duration) error {
	return aside(fd, limit, func(fd int) error { return control(fd, unix.TCSBRK, 1) })
}

// aside makes a call that may wait for the line for ever, with a descriptor of its own, because the other may be closed meanwhile. If it
// takes longer than limit, it is interrupted, and the error is errStuck.
//
// It has to be interrupted: with CRTSCTS, a call that waits for what is in the hardware does so also after a flush, and would hold the port open.
func aside(fd int, limit time.Duration, call func(fd int) error) error {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	var late atomic.Bool
	thread, done := make(chan int, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		thread <- unix.Gettid()
		err := call(own)
		for errors.Is(err, unix.EINTR) && !late.Load() { // the runtime uses signals, too
			err = call(own)
		}
		unix.Close(own) // the other one is the port's
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
	}
	late.Store(true)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for tid := <-thread; ; { // a signal that comes just before the system call interrupts nothing
		unix.Tgkill(os.Getpid(), tid, unix.SIGURG) //nolint:errcheck // Go's own signal for this, which does nothing else; the thread may be done
		select {
		case err := <-done:
			if err != nil {
				return errStuck
			}
			return nil // it was done in the last moment
		case <-again.C:
		}
	}
}

// control is ioctl(2) with a number, see ioctl_tty(2).
func control(fd int, request uint, value int) error {
	return os.NewSyscallError(fmt.Sprintf("ioctl %#x", request), unix.IoctlSetInt(fd, request, value))
}
