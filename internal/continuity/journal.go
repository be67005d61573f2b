package continuity

import (
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// journal is memory that outlives the process, one word for each pipe: whose bytes the pipe carries. It is a memfd that is
// mapped, so writing a word costs nothing, and what is written is kept even if the process is killed in the next instant.
type journal struct {
	fd    int
	bytes []byte // the mapping
}

// journalWords is for how many pipes there is room; the file takes memory only for those that there have been.
const journalWords = 1 << 16

func newJournal() (*journal, error) {
	fd, err := unix.MemfdCreate("serialhub-journal", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	if err := unix.Ftruncate(fd, journalWords*8); err != nil {
		unix.Close(fd) // nothing is in it
		return nil, os.NewSyscallError("ftruncate", err)
	}
	return openJournal(fd)
}

// openJournal maps a journal, which an earlier process may have made, and owns it.
func openJournal(fd int) (*journal, error) {
	bytes, err := unix.Mmap(fd, 0, journalWords*8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		unix.Close(fd) // it is of no use
		return nil, os.NewSyscallError("mmap", err)
	}
	return &journal{fd: fd, bytes: bytes}, nil
}

// word is the i-th word.
func (j *journal) word(i int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&j.bytes[i*8]))
}

func (j *journal) close() {
	unix.Munmap(j.bytes)
	unix.Close(j.fd) // others may hold it
}
