package continuity

import (
	"encoding/json"
	"errors"
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
	journalName  = "+journal" // the name of a socket unit's socket, link.end, never begins like that
	linkPrefix   = "+link."   // the link's number, a dot and its name follow
	pipePrefix   = "+pipe."   // the pipe's slot follows
	passedPrefix = "+passed." // the name of a socket of a socket unit follows
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
	unsafe map[int]bool     // slots of pipes that the manager does not know
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
	s := &Store{manager: manager, log: log, kept: map[string][]int{}, unsafe: map[int]bool{}, nextID: 1}
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
			file.Name = strings.TrimPrefix(file.Name, passedPrefix)
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
	number, _, _ := strings.Cut(strings.TrimPrefix(file.Name, linkPrefix), ".")
	id, err := strconv.ParseUint(number, 10, 64)
	if err == nil {
		s.nextID = max(s.nextID, id+1)
	}
	stash, text, descriptors, err := OpenStash(file.FD)
	if err != nil {
		s.log.Warn("what was left of a link cannot be used", "name", file.Name, "error", err)
		s.forget(file.Name)
		return
	}
	var m message
	if len(text) > 0 { // else the link did not run
		err = json.Unmarshal(text, &m)
	}
	if err == nil && len(m.Labels) != len(descriptors) {
		err = fmt.Errorf("%d descriptors have %d labels", len(descriptors), len(m.Labels))
	}
	if err == nil && heritage.Links[m.Link] != nil {
		err = errors.New("there are two of that name")
	}
	if err != nil || len(text) == 0 {
		if err != nil {
			s.log.Warn("what was left of a link cannot be used", "name", file.Name, "error", err)
		}
		closeAll(descriptors)
		s.forget(file.Name)
		err = stash.Close()
		if err != nil {
			s.log.Warn("what was left of a link cannot be closed", "name", file.Name, "error", err)
		}
		return
	}
	s.kept[file.Name] = []int{file.FD}
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

// AddPipe keeps a pipe, and returns the word that tells the next program whose bytes it carries. It does not wait for the manager; if
// that cannot be told now, the pipe is kept only for a program that replaces this one, and not safe.
func (s *Store) AddPipe(r, w int) (slot int, owner *atomic.Uint64, safe bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.slots); n > 0 {
		slot, s.slots = s.slots[n-1], s.slots[:n-1]
	} else {
		slot = s.slot
		s.slot++
	}
	if slot >= journalWords {
		return slot, new(atomic.Uint64), false
	}
	owner = s.journal.word(slot)
	owner.Store(0)
	name := pipePrefix + strconv.Itoa(slot)
	s.kept[name] = []int{r, w}
	s.unsafe[slot] = s.manager.storeNow(name, r, w) != nil
	return slot, owner, !s.unsafe[slot]
}

// RemovePipe lets go of a pipe that is to be closed. It returns false if the manager cannot be told now.
func (s *Store) RemovePipe(slot int) bool {
	name := pipePrefix + strconv.Itoa(slot)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.unsafe[slot] && s.manager.forgetNow(name) != nil {
		return false
	}
	delete(s.unsafe, slot)
	if s.kept[name] == nil {
		return true // there was no room for it
	}
	delete(s.kept, name)
	s.slots = append(s.slots, slot)
	return true
}

// Pass keeps a socket of a socket unit for the program that replaces this one; the service manager itself has it.
func (s *Store) Pass(name string, fd int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept[passedPrefix+name] = []int{fd}
}

// Unpass lets go of a socket that was passed.
func (s *Store) Unpass(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.kept, passedPrefix+name)
}

// LinkStash keeps the descriptors of one link.
type LinkStash struct {
	store  *Store
	stash  *Stash
	name   string
	id     uint64
	behind atomic.Bool // the last Keep has failed
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
	if err == nil {
		err = l.stash.Keep(text, descriptors)
	}
	l.behind.Store(err != nil)
	return err
}

// Behind tells whether the last Keep has failed, so that what is kept is not what there is.
func (l *LinkStash) Behind() bool { return l.behind.Load() }

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

// Discard sees to what nobody has taken out of an inheritance. A socket that listens belongs to a socket unit, and is left to the program that
// replaces this one: its config may have a link for it. Anything else is closed.
func (s *Store) Discard(h *Inheritance) {
	for _, file := range h.Sockets {
		s.log.Warn("a descriptor was passed to the hub that no end of a link has the name or the address of", "name", file.Name)
		if listens, err := unix.GetsockoptInt(file.FD, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil && listens != 0 {
			s.Pass(file.Name, file.FD)
			continue
		}
		s.forget(file.Name)
		unix.Close(file.FD) // nobody can use it
	}
	h.Sockets = nil
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
