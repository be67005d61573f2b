package continuity

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Names of what is stored, which the next program looks for.
const (
	journalName = "journal"
	linkPrefix  = "link."
	pipePrefix  = "pipe."
)

// Store is everything of this process that shall outlive it: a stash for each link, the pipes, and the journal that tells
// whose bytes they carry. With a service manager, the manager holds all of them as well; without one, they are handed to the
// program that replaces this one. Its methods are safe to call from any goroutine.
type Store struct {
	manager *Manager
	log     *slog.Logger
	journal *journal

	mu     sync.Mutex
	kept   map[string][]int // by name: what the next program is to have
	nextID uint64           // of a link
	slots  []int            // words of the journal that are free again
	slot   int              // the first word that has never been used
}

// Inheritance is what an earlier process has left. Whoever takes something out of it owns that; Discard closes the rest.
type Inheritance struct {
	State   json.RawMessage  // that was left for a program in the place of another; else nil
	Links   map[string]*Link // by name
	Pipes   []Pipe
	Sockets []File // others, such as listening ones of socket units
}

// Link is what has been kept of a link.
type Link struct {
	ID     uint64
	Stash  *LinkStash
	Labels []string // what each of Descriptors is, as Keep was told
	FDs    []int
}

// Pipe is a pipe, with both its ends.
type Pipe struct {
	R, W  int
	Slot  int
	Owner *atomic.Uint64 // whose bytes it carries, as SetOwner of an earlier process said
}

// message is the text of a link's stash.
type message struct {
	ID     uint64   `json:"id"`
	Link   string   `json:"link"`
	Labels []string `json:"labels"`
}

// Open makes the store of this process, and takes over what an earlier one has left. manager may be nil.
func Open(manager *Manager, log *slog.Logger) (*Store, *Inheritance, error) {
	files, state, err := inherit()
	if err != nil {
		return nil, nil, err
	}
	s := &Store{manager: manager, log: log, kept: map[string][]int{}, nextID: 1}
	heritage := &Inheritance{State: state, Links: map[string]*Link{}}
	ends := map[string][]int{} // of pipes
	for _, file := range files {
		switch {
		case file.Name == journalName && s.journal == nil:
			if s.journal, err = openJournal(file.FD); err != nil {
				return nil, nil, err
			}
			s.kept[journalName] = []int{file.FD}
		case strings.HasPrefix(file.Name, pipePrefix):
			ends[file.Name] = append(ends[file.Name], file.FD)
		case strings.HasPrefix(file.Name, linkPrefix):
			s.openLink(file, heritage)
		default:
			heritage.Sockets = append(heritage.Sockets, file)
		}
	}
	if s.journal == nil {
		if s.journal, err = newJournal(); err != nil {
			return nil, nil, err
		}
		s.keep(journalName, s.journal.fd)
	}
	for name, fds := range ends {
		s.openPipe(name, fds, heritage)
	}
	return s, heritage, nil
}

func (s *Store) openLink(file File, heritage *Inheritance) {
	stash, text, descriptors, err := OpenStash(file.FD)
	var m message
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err == nil && len(m.Labels) != len(descriptors) {
		err = fmt.Errorf("%d descriptors have %d labels", len(descriptors), len(m.Labels))
	}
	if err != nil {
		s.log.Warn("what was left of a link cannot be used", "name", file.Name, "error", err)
		closeAll(descriptors)
		s.forget(file.Name)
		return
	}
	s.kept[file.Name] = []int{file.FD}
	s.nextID = max(s.nextID, m.ID+1)
	heritage.Links[m.Link] = &Link{ID: m.ID, Stash: &LinkStash{store: s, stash: stash, name: file.Name, id: m.ID}, Labels: m.Labels, FDs: descriptors}
}

// openPipe puts the ends of a pipe together, whatever their order is.
func (s *Store) openPipe(name string, fds []int, heritage *Inheritance) {
	slot, err := strconv.Atoi(strings.TrimPrefix(name, pipePrefix))
	if err != nil || len(fds) != 2 || slot < 0 || slot >= journalWords {
		s.log.Warn("what was left of a pipe cannot be used", "name", name, "ends", len(fds))
		closeAll(fds)
		s.forget(name)
		return
	}
	p := Pipe{R: fds[0], W: fds[1], Slot: slot, Owner: s.journal.word(slot)}
	if flags, err := unix.FcntlInt(uintptr(p.R), unix.F_GETFL, 0); err == nil && flags&unix.O_ACCMODE == unix.O_WRONLY {
		p.R, p.W = p.W, p.R
	}
	s.kept[name] = fds
	for ; s.slot <= slot; s.slot++ {
		s.slots = append(s.slots, s.slot)
	}
	for i, free := range s.slots {
		if free == slot {
			s.slots = append(s.slots[:i], s.slots[i+1:]...)
			break
		}
	}
	heritage.Pipes = append(heritage.Pipes, p)
}

// keep has the next program get descriptors under a name. They stay the caller's.
func (s *Store) keep(name string, descriptors ...int) {
	s.mu.Lock()
	s.kept[name] = descriptors
	s.mu.Unlock()
	if s.manager == nil {
		return
	}
	if err := s.manager.store(name, descriptors...); err != nil {
		s.log.Warn("something would not survive the death of the hub", "name", name, "error", err)
	}
}

// forget has the next program not get what is kept under a name.
func (s *Store) forget(name string) {
	s.mu.Lock()
	delete(s.kept, name)
	s.mu.Unlock()
	if s.manager == nil {
		return
	}
	if err := s.manager.forget(name); err != nil {
		s.log.Warn("the service manager keeps something that is over", "name", name, "error", err)
	}
}

// AddPipe keeps a pipe, and returns the word that tells the next program whose bytes it carries; nil if there is no room.
func (s *Store) AddPipe(r, w int) (slot int, owner *atomic.Uint64) {
	s.mu.Lock()
	if n := len(s.slots); n > 0 {
		slot, s.slots = s.slots[n-1], s.slots[:n-1]
	} else {
		slot = s.slot
		s.slot++
	}
	s.mu.Unlock()
	if slot >= journalWords {
		return -1, new(atomic.Uint64)
	}
	owner = s.journal.word(slot)
	owner.Store(0)
	s.keep(pipePrefix+strconv.Itoa(slot), r, w)
	return slot, owner
}

// RemovePipe lets go of a pipe that is to be closed.
func (s *Store) RemovePipe(slot int) {
	if slot < 0 {
		return
	}
	s.forget(pipePrefix + strconv.Itoa(slot))
	s.mu.Lock()
	s.slots = append(s.slots, slot)
	s.mu.Unlock()
}

// LinkStash keeps the descriptors of one link.
type LinkStash struct {
	store *Store
	stash *Stash
	name  string
	id    uint64
}

// NewLink makes the stash of a new link; the link's name is for people who look at what the manager holds.
func (s *Store) NewLink(link string) (*LinkStash, error) {
	stash, err := NewStash()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	id := s.nextID
	s.nextID++
	s.mu.Unlock()
	l := &LinkStash{store: s, stash: stash, name: fmt.Sprintf("%s%d.%s", linkPrefix, id, link), id: id}
	s.keep(l.name, stash.FD())
	return l, nil
}

// ID is the link's number, which no other link of this hub or of those before it has had.
func (l *LinkStash) ID() uint64 { return l.id }

// Keep keeps descriptors, each with a label, in the place of those before. They stay the caller's. It does not block; one goroutine may
// call it at a time.
func (l *LinkStash) Keep(link string, labels []string, descriptors []int) error {
	if len(descriptors) == 0 {
		return l.stash.Empty()
	}
	text, err := json.Marshal(message{ID: l.id, Link: link, Labels: labels})
	if err != nil {
		return err
	}
	return l.stash.Keep(text, descriptors)
}

// Close lets go of everything that is kept of the link.
func (l *LinkStash) Close() error {
	l.store.forget(l.name)
	return l.stash.Close()
}

// Close closes what this process has of the store. What the manager holds, it goes on holding.
func (s *Store) Close() error {
	s.journal.close()
	return s.manager.Close()
}

// Take takes the sockets out whose names begin with prefix.
func (h *Inheritance) Take(prefix string) (taken []File) {
	rest := h.Sockets[:0:0]
	for _, file := range h.Sockets {
		if strings.HasPrefix(file.Name, prefix) {
			taken = append(taken, file)
		} else {
			rest = append(rest, file)
		}
	}
	h.Sockets = rest
	return taken
}

// Discard lets go of what nobody has taken out of an inheritance: it is shut down, closed, and not kept any more.
func (s *Store) Discard(h *Inheritance) {
	for name, link := range h.Links {
		s.log.Info("a link is not in the config any more; its peers are closed", "link", name)
		link.Close()
	}
	for _, file := range h.Sockets {
		s.log.Warn("a socket was passed to the hub that no end of a link has the name or the address of", "name", file.Name)
		s.forget(file.Name)
		unix.Close(file.FD) // a socket unit may hold it
	}
	h.Links, h.Sockets = nil, nil
}

// Close shuts down and closes everything that was kept of a link, and the stash.
func (l *Link) Close() {
	l.CloseParts()
	if err := l.Stash.Close(); err != nil {
		l.Stash.store.log.Warn("what was left of a link could not be closed", "error", err)
	}
}

// CloseParts shuts down and closes the descriptors that were kept of a link.
func (l *Link) CloseParts() {
	for _, fd := range l.FDs {
		unix.Shutdown(fd, unix.SHUT_RDWR) // it may not be a socket that is connected
		unix.Close(fd)                    // it is not wanted
	}
	l.FDs = nil
}

// ReplaceProcess lets the program at path take the place of this one (execve(2)), and leaves it state and everything that is kept.
// It returns only with an error, and nothing has changed then.
func (s *Store) ReplaceProcess(path string, args []string, state any, others ...File) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	files := others
	for name, fds := range s.kept {
		for _, fd := range fds {
			files = append(files, File{Name: name, FD: fd})
		}
	}
	raw, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("the state cannot be handed on: %w", err)
	}
	text, err := json.Marshal(handover{Files: files, State: raw})
	if err != nil {
		return fmt.Errorf("the state cannot be handed on: %w", err)
	}
	fd, err := unix.MemfdCreate("serialhub-handover", 0)
	if err != nil {
		return os.NewSyscallError("memfd_create", err)
	}
	defer unix.Close(fd) // if this program goes on
	if _, err := unix.Pwrite(fd, text, 0); err != nil {
		return os.NewSyscallError("write", err)
	}
	for _, file := range files {
		defer unix.CloseOnExec(file.FD) // if this program goes on
		if _, err := unix.FcntlInt(uintptr(file.FD), unix.F_SETFD, 0); err != nil {
			return os.NewSyscallError("fcntl", err)
		}
	}
	environment := append(os.Environ(), fmt.Sprintf("%s=%d", handoverVariable, fd))
	return &os.PathError{Op: "exec", Path: path, Err: unix.Exec(path, args, environment)}
}
