package relay

import (
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring keeps the newest bytes that were put into it, up to a limit. It is a memfd that is mapped, so that it outlives the process,
// whatever ends that. An empty one holds a page of memory at most. A nil ring has no room. The descriptor is the ring's.
type ring struct {
	fd      int
	mapping []byte
	place   *place // at the start of the mapping
	bytes   []byte // the rest of it
}

// place is where the ring's bytes are: it has those from removed to added, of all that have ever been put into it.
type place struct {
	removed, added atomic.Uint64
	moving         atomic.Uint64 // what removed will be once some bytes are in the pipe, while they are being written there
}

// placeSize is how much of the mapping the place takes: a page.
const placeSize = 4096

func newRing(limit int) (*ring, error) {
	fd, err := unix.MemfdCreate("serialhub-buffer", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	if err := unix.Ftruncate(fd, placeSize+int64(limit)); err != nil {
		unix.Close(fd) // nothing is in it
		return nil, os.NewSyscallError("ftruncate", err)
	}
	return openRing(fd)
}

// openRing takes over a ring, which an earlier process may have made. It owns the descriptor also if it returns an error.
func openRing(fd int) (*ring, error) {
	var stat unix.Stat_t
	err := unix.Fstat(fd, &stat)
	var mapping []byte
	if err == nil {
		mapping, err = unix.Mmap(fd, 0, int(stat.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	}
	if err == nil && len(mapping) <= placeSize {
		unix.Munmap(mapping)
		err = unix.EINVAL
	}
	if err != nil {
		unix.Close(fd) // it is of no use
		return nil, os.NewSyscallError("mmap", err)
	}
	return &ring{fd: fd, mapping: mapping, place: (*place)(unsafe.Pointer(&mapping[0])), bytes: mapping[placeSize:]}, nil
}

// recover completes what an earlier process was doing when it was killed: the first inPipe bytes may be in the pipe already.
func (r *ring) recover(inPipe int) {
	if removed := r.place.removed.Load(); r.place.moving.Load() > removed {
		r.remove(min(inPipe, int(r.place.moving.Load()-removed)))
		r.place.moving.Store(0)
	}
}

func (r *ring) limit() int {
	if r == nil {
		return 0
	}
	return len(r.bytes)
}

// len is how many bytes are kept.
func (r *ring) len() int {
	if r == nil {
		return 0
	}
	return int(r.place.added.Load() - r.place.removed.Load())
}

// add appends data, and returns how many of the oldest bytes it had to drop for it.
func (r *ring) add(data []byte) (dropped int) {
	dropped = max(0, r.len()+len(data)-r.limit())
	if r == nil {
		return dropped
	}
	if over := len(data) - len(r.bytes); over > 0 {
		data = data[over:]
	}
	r.remove(max(0, r.len()+len(data)-len(r.bytes)))
	for len(data) > 0 {
		end := int(r.place.added.Load() % uint64(len(r.bytes)))
		n := copy(r.bytes[end:], data)
		r.place.added.Add(uint64(n)) // after the bytes are there
		data = data[n:]
	}
	return dropped
}

// oldest returns the oldest bytes, as many as lie in a row. They are valid until the next call of another method.
func (r *ring) oldest() []byte {
	n := r.len()
	if n == 0 {
		return nil
	}
	start := int(r.place.removed.Load() % uint64(len(r.bytes)))
	return r.bytes[start:min(start+n, len(r.bytes))]
}

// moveTo moves the oldest bytes into a pipe, which is empty, and returns how many.
func (r *ring) moveTo(p *pipe) int {
	data := r.oldest()
	data = data[:min(len(data), p.room)]
	r.place.moving.Store(r.place.removed.Load() + uint64(len(data)))
	p.write(data)
	r.remove(len(data))
	return len(data)
}

// remove forgets the n oldest bytes.
func (r *ring) remove(n int) {
	if n == 0 {
		return
	}
	r.place.removed.Add(uint64(n))
	if r.len() == 0 {
		unix.Madvise(r.mapping[placeSize:], unix.MADV_REMOVE) //nolint:errcheck // the memory is given back later, then
	}
}

// close closes the ring, and forgets what is in it unless somebody else holds it.
func (r *ring) close() {
	if r == nil {
		return
	}
	unix.Munmap(r.mapping)
	unix.Close(r.fd) // a memfd
}
