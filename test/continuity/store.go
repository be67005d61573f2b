package continuity

import (
	"os"

	"golang.org/x/sys/unix"
)

// store is the descriptors that a manager keeps for a service. It does not know what they are.
type store []stored

type stored struct {
	name string
	fd   int
	poll bool // is dropped when it hangs up
}

// add takes a descriptor over. One whose open file is stored already is closed, as systemd does.
func (s *store) add(added stored) {
	for _, known := range *s {
		if sameFile(known.fd, added.fd) {
			unix.Close(added.fd)
			return
		}
	}
	*s = append(*s, added)
}

// remove closes everything of exactly that name.
func (s *store) remove(name string) {
	s.drop(func(one stored) bool { return one.name == name })
}

// prune closes what has hung up, except where the service has forbidden it with FDPOLL=0.
func (s *store) prune() {
	s.drop(func(one stored) bool {
		polled := []unix.PollFd{{Fd: int32(one.fd)}}
		_, err := unix.Poll(polled, 0)
		return one.poll && err == nil && polled[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
	})
}

func (s *store) clear() { s.drop(func(stored) bool { return true }) }

func (s *store) drop(unwanted func(stored) bool) {
	var kept store
	for _, one := range *s {
		if unwanted(one) {
			unix.Close(one.fd)
		} else {
			kept = append(kept, one)
		}
	}
	*s = kept
}

// sameFile tells whether two descriptors are one open file. Where kcmp(2) is forbidden, none are.
func sameFile(one, other int) bool {
	const kcmpFile = 0
	self := uintptr(os.Getpid())
	order, _, errno := unix.RawSyscall6(unix.SYS_KCMP, self, self, kcmpFile, uintptr(one), uintptr(other), 0)
	return errno == 0 && order == 0
}
