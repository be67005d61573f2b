package watch

import (
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// pageSize is how much of the tape is used again at once.
	pageSize = 16 << 10
	// roomForReaders is how much of the tape is kept for readers that lag behind.
	roomForReaders = 1 << 20
	// MaxScrollback is how many bytes of scrollback there can be at most.
	MaxScrollback = 16 << 20
	// overhead is how many times larger than what it keeps the scrollback may be, where each byte has come alone.
	overhead = 5
	// spare pages are for those that cannot be used again yet, because a reader is just copying them.
	spare = 8

	maxPages = overhead*MaxScrollback/pageSize + roomForReaders/pageSize + spare
)

// file is the memory of a tape: a memfd that is mapped, so that it outlives the process, whatever ends that. It has a head and
// maxPages pages, and takes memory only for those that are used.
type file struct {
	fd      int
	mapping []byte
	head    *fileHead
}

// fileHead is at the start of the file.
type fileHead struct {
	version atomic.Uint32
	slots   atomic.Uint32 // how many pages have ever been used
	marked  atomic.Uint32 // which of marks is the mark, from 1; 0 if there is none
	takes   [2]taking
	marks   [2]fileMark // the one that is not the mark is written next, so that the mark is whole at any moment
}

// fileMark is a Mark as it lies in the file.
type fileMark struct {
	position [2]atomic.Uint64
	written  [2]Written
}

// taking is what is known of a side while bytes of it are being taken.
type taking struct {
	on   atomic.Bool
	held uint64 // how many the pipe held before
	said uint64 // how many had come
}

const (
	fileVersion  = 1
	fileHeadSize = 4096
)

// pageHead is at the start of each page. What belongs to the page is there before serial is set, and the frames are before used tells of them: so
// the file is whole at any moment at which the process may be killed.
type pageHead struct {
	serial atomic.Uint64 // the page's number among all that there have been, from 1; 0 if the page is free
	used   atomic.Uint32 // how many bytes of frames there are
	begun  int64         // when, in Unix nanoseconds
	before Position      // what had come from each side before the page
}

const roomOfPage = pageSize - int(unsafe.Sizeof(pageHead{}))

func newFile() (*file, error) {
	fd, err := unix.MemfdCreate("serialhub-tape", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	if err := unix.Ftruncate(fd, fileHeadSize+maxPages*pageSize); err != nil {
		unix.Close(fd) // nothing is in it
		return nil, os.NewSyscallError("ftruncate", err)
	}
	f, err := openFile(fd)
	if err == nil {
		f.head.version.Store(fileVersion)
	}
	return f, err
}

// openFile maps a file, which an earlier process may have made. It owns the descriptor also if it returns an error.
func openFile(fd int) (*file, error) {
	var stat unix.Stat_t
	err := unix.Fstat(fd, &stat)
	if err == nil && stat.Size != fileHeadSize+maxPages*pageSize {
		err = unix.EINVAL
	}
	var mapping []byte
	if err == nil {
		mapping, err = unix.Mmap(fd, 0, int(stat.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	}
	if err != nil {
		unix.Close(fd) // it is of no use
		return nil, os.NewSyscallError("mmap", err)
	}
	return &file{fd: fd, mapping: mapping, head: (*fileHead)(unsafe.Pointer(&mapping[0]))}, nil
}

func (f *file) close() {
	unix.Munmap(f.mapping)
	unix.Close(f.fd) // a memfd
}

// page is a part of the tape, of which a reader copies one at a time.
type page struct {
	*pageHead
	frames []byte               // of which the first used are written
	memory []byte               // all of it
	next   atomic.Pointer[page] // the one after it; nil if this is the newest
	pins   atomic.Int32         // readers that are copying it
}

func (f *file) page(slot int) *page {
	memory := f.mapping[fileHeadSize+slot*pageSize:][:pageSize:pageSize]
	return &page{
		pageHead: (*pageHead)(unsafe.Pointer(&memory[0])),
		frames:   memory[pageSize-roomOfPage:],
		memory:   memory,
	}
}

// begin makes a page that is free the newest one.
func (p *page) begin(serial uint64, now time.Time, before Position) {
	p.next.Store(nil)
	p.used.Store(0)
	p.begun, p.before = now.UnixNano(), before
	p.serial.Store(serial)
}

// pin keeps the page from being used again, and tells whether it is still the one of that serial. If it is, the caller calls unpin.
func (p *page) pin(serial uint64) bool {
	p.pins.Add(1)
	if p.serial.Load() == serial {
		return true
	}
	p.pins.Add(-1)
	return false
}

func (p *page) unpin() { p.pins.Add(-1) }

// forget gives the memory of a free page back.
func (p *page) forget() {
	unix.Madvise(p.memory, unix.MADV_REMOVE) //nolint:errcheck // the memory is given back with the file, then
}
