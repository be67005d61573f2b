package transcript

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"syscall"
	"time"

	"serialhub/internal/relay"
	"serialhub/internal/render"
	"serialhub/internal/watch"
)

// output is one file, and those that take its place. It is for one goroutine, and holds what one call of Next has given at most.
type output struct {
	config   Config
	name     name
	sides    []relay.Side
	renderer render.Renderer
	heard    [2]time.Time // when something has last come from a side
	old      *archive
	done     watch.Position // up to where its sides are rendered
	left     watch.Written  // the file, as the mark of an earlier process tells of it; zero once a file has been opened

	path    string
	ends    time.Time   // when the path is another one, if it is dated
	file    *os.File    // nil: to be opened
	info    os.FileInfo // of the file
	size    int64       // of the file
	pending []byte      // whole records that are not in the file yet
	head    int         // how many of its bytes are what a file begins with
	full    bool        // the file is to make room for another one
}

func newOutput(c Config, link string, sides []relay.Side, log *slog.Logger) *output {
	n := newName(c.Path, link, sides)
	return &output{
		config: c, name: n, sides: sides,
		renderer: render.New(c.Format, render.Options{Link: link, Timestamps: c.Timestamps}),
		old:      newArchive(c, n, log),
	}
}

// enter has the path be that of a day.
func (o *output) enter(at time.Time) {
	o.path, o.ends = o.name.on(at), at.UTC().Truncate(day).Add(day)
	o.old.enter(o.path, at)
}

// begin makes sure that there is a file, which is still the one of its name and not full. It can be tried again when it fails.
func (o *output) begin() error {
	if o.file != nil {
		if err := o.look(); err != nil {
			return err
		}
	}
	if o.full {
		if err := o.old.rotate(o.path, "size"); err != nil {
			return err
		}
		o.leave()
	}
	if o.file == nil {
		return o.open()
	}
	return nil
}

// look finds out how large the file is now, and lets go of it if its name is gone or that of another file.
func (o *output) look() error {
	info, err := os.Lstat(o.path)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !os.SameFile(info, o.info):
		o.leave()
		o.old.letGo()
		return nil
	case err != nil:
		return err
	}
	o.size = info.Size()
	return nil
}

// leave lets go of the file.
func (o *output) leave() {
	if o.file != nil {
		o.file.Close() //nolint:errcheck // what was written to it is in the kernel's hands
	}
	o.file, o.info, o.size, o.full = nil, nil, 0, false
}

// open opens the file of the name, and puts what it begins with before what is pending. What is there and cannot be gone on with is set aside.
func (o *output) open() error {
	file, err := openFile(o.path)
	if err != nil {
		return err
	}
	why, first, err := o.examine(file)
	if err == nil && why != "" {
		file.Close() //nolint:errcheck // nothing was written to it
		if err := o.old.setAside(o.path, why); err != nil {
			return err
		}
		if file, err = openFile(o.path); err != nil {
			return err
		}
	}
	var info os.FileInfo
	if err == nil {
		info, err = file.Stat()
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	o.file, o.info, o.size, o.left = file, info, info.Size(), watch.Written{}
	head := o.renderer.Header([]byte(first))
	o.pending = slices.Replace(o.pending, 0, o.head, head...)
	o.head = len(head)
	return nil
}

// examine takes out of a file what was not marked, and tells why it cannot be gone on with, if so, or else what has to come first.
func (o *output) examine(file *os.File) (why, first string, err error) {
	if err := takeBack(file, o.left); err != nil {
		return "", "", err
	}
	info, err := file.Stat()
	if err != nil {
		return "", "", err
	}
	if why, err = foreign(file, info.Size(), o.config.Format); err != nil || why != "" {
		return why, "", err
	}
	first, err = goesOn(file, info.Size(), o.config.Format)
	return "", first, err
}

// written is the file and its size.
func (o *output) written() watch.Written {
	if o.file == nil {
		return o.left
	}
	stat := o.info.Sys().(*syscall.Stat_t) //nolint:forcetypeassert // it is what os gives on Linux
	return watch.Written{Device: stat.Dev, Inode: stat.Ino, Size: uint64(o.size)}
}

// fits tells whether an event has its place in this file, and not in the next one. A file has one event at least.
func (o *output) fits(e watch.Event) bool {
	if o.over(e) {
		return false
	}
	empty := o.size == 0 && len(o.pending) <= o.head
	return o.config.MaxSize == 0 || empty || o.size+int64(len(o.pending)+o.atMost(e)) <= o.config.MaxSize
}

// over tells whether an event is of a later day than the file. A clock that is set back changes nothing: files of days that are over are left alone.
func (o *output) over(e watch.Event) bool { return o.name.dated() && !e.At.Before(o.ends) }

// atMost is how long an event can become together with what was held back before it. It is a guess on the safe side, because what was rendered
// already cannot go to the next file, which begins in another way.
func (o *output) atMost(e watch.Event) int {
	const frame = 512 // of a record
	held := o.renderer.Held()
	n := len(e.Data) + held[relay.A] + held[relay.B]
	switch o.config.Format {
	case render.Raw:
		return n
	case render.JSON, render.PCAPNG:
		return 2*n + frame
	default:
		return 8*n + frame
	}
}

// turn has begin begin the next file, in which the event has its place. Nothing is pending.
func (o *output) turn(e watch.Event) {
	if o.over(e) {
		o.leave()
		o.enter(e.At)
		return
	}
	o.full = true
}

// add renders an event.
func (o *output) add(e watch.Event) {
	o.pending = o.renderer.Append(o.pending, e)
	o.done[e.From] = e.Offset + uint64(len(e.Data))
	o.heard[e.From] = time.Now()
}

// due is when the line of a side that says nothing more is to be flushed, if there is one.
func (o *output) due() (at time.Time, ok bool) {
	held := o.renderer.Held()
	for side, n := range held {
		if due := o.heard[side].Add(o.config.Format.Idle()); n > 0 && (!ok || due.Before(at)) {
			at, ok = due, true
		}
	}
	return at, ok
}

// flushOverdue renders lines that are not complete, if they are due.
func (o *output) flushOverdue() {
	if due, ok := o.due(); ok && !time.Now().Before(due) {
		o.flush()
	}
}

func (o *output) flush() { o.pending = o.renderer.Flush(o.pending) }

// write moves what is pending into the file: all of it or, with an error, nothing; so the file ends with a whole record, and is tried again. If that is
// not possible either it goes on where it has failed.
func (o *output) write() error {
	if len(o.pending) <= o.head {
		return nil // a file begins with the first record
	}
	if o.file == nil {
		if err := o.open(); err != nil {
			return err
		}
	}
	n, err := o.file.Write(o.pending)
	if err != nil {
		if n > 0 && o.cut(int64(n)) != nil {
			o.pending = slices.Delete(o.pending, 0, n)
			o.head = max(0, o.head-n)
		}
		if look := o.look(); look != nil {
			err = errors.Join(err, look)
			o.leave() // it may be of a disk that is not there any more
		}
		return err
	}
	o.size += int64(n)
	o.pending, o.head = o.pending[:0], 0
	return nil
}

// cut takes the newest bytes back, if nobody else has changed the file.
func (o *output) cut(n int64) error {
	info, err := o.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() != o.size+n {
		return errors.New("the file has been changed by somebody else")
	}
	return o.file.Truncate(o.size)
}
