package transcript

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/DeRuina/timberjack"
)

// archive looks after files that are complete: it has timberjack give them another name, compress them and remove the oldest. What timberjack does not
// know of is that a file can be complete because its day is over; so those are handed to it here, and removed with the others.
//
// Writing is not left to timberjack, because it neither appends (O_APPEND), so that a file could be cut short by others, nor tells a FIFO from a file, nor
// can take back half a record.
type archive struct {
	config  Config
	name    name
	log     *slog.Logger
	rotator *timberjack.Logger // of the file that is written; nil if it has not been needed yet
	letting sync.WaitGroup     // go of rotators, of which one alone may compress
	tidying sync.WaitGroup
	turn    sync.Mutex // held by the one that tidies
}

func newArchive(c Config, n name, log *slog.Logger) *archive {
	return &archive{config: c, name: n, log: log}
}

// rotate gives the file of a path another name, PATH-TIME-REASON.EXTENSION, and makes an empty one. It is compressed later.
func (a *archive) rotate(path, reason string) error {
	if a.rotator == nil {
		a.letting.Wait()
		a.rotator = a.newRotator(path)
	}
	return a.rotator.RotateWithReason(reason)
}

func (a *archive) newRotator(path string) *timberjack.Logger {
	return &timberjack.Logger{
		Filename:         path,
		MaxBackups:       a.config.Keep,
		MaxAge:           int((a.config.MaxAge + day - 1) / day),
		Compression:      a.config.Compress,
		BackupTimeFormat: "2006-01-02T15-04-05.000000",
	}
}

// foreignTime is the time in the name of a file that is set aside. It has more digits than those of files that are complete, so that it is not taken for one
// of them, and neither compressed nor removed.
const foreignTime = "2006-01-02T15-04-05.000000000"

// setAside gives a file that cannot be gone on with another name, PATH-TIME-foreign.EXTENSION.
func (a *archive) setAside(path, why string) error {
	extension := filepath.Ext(path)
	to := strings.TrimSuffix(path, extension) + "-" + time.Now().UTC().Format(foreignTime) + "-foreign" + extension
	if err := os.Rename(path, to); err != nil {
		return err
	}
	a.letGo()
	a.log.Warn("a file that the transcript cannot go on with is set aside", "file", path, "moved_to", to, "format", string(a.config.Format), "reason", why)
	return nil
}

// letGo says that the file was moved away or removed. Its rotator has it open, and so its place on the disk.
func (a *archive) letGo() {
	last := a.rotator
	if a.rotator = nil; last != nil {
		a.letting.Go(func() {
			a.turn.Lock()
			defer a.turn.Unlock()
			a.complain(last.Close())
		})
	}
}

// enter says that the file of a path is written from now on. What that leaves to be tidied up is done elsewhere. Later paths are of later days.
func (a *archive) enter(path string, now time.Time) {
	if !a.name.dated() {
		return
	}
	last := a.rotator
	a.rotator = nil
	a.letting.Wait()
	a.tidying.Go(func() {
		a.turn.Lock()
		defer a.turn.Unlock()
		if last != nil {
			a.complain(last.Close()) // it may be compressing, and no two may at once
		}
		a.complain(errors.Join(a.compress(now), a.remove(path, now)))
	})
}

// close waits until all that is complete is compressed.
func (a *archive) close() {
	a.letGo()
	a.letting.Wait()
	a.tidying.Wait()
}

func (a *archive) complain(err error) {
	if err != nil {
		a.log.Warn("old transcripts cannot be tidied up", "error", err)
	}
}
