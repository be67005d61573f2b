package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// wires are the links of a contender, and the relays that carry them.
type wires struct {
	dir       string        // a folder of their own
	addresses [2][]string   // by side and link: where to connect to; none if there is no relay
	files     [2][]*os.File // by side and link: what the clients inherit instead; owned, until closeFiles
	api       string        // the socket of a hub's API; empty for others
	commands  [][]string    // of the relays
	clean     bool          // the relays end with exit code 0 when they are told to

	relays   []*process
	ended    chan *process // each relay that has ended, whatever the reason
	launched int64         // when the first one was started, as now tells
}

func (w *wires) add(a, b string) {
	w.addresses[left] = append(w.addresses[left], a)
	w.addresses[right] = append(w.addresses[right], b)
}

// launch starts the relays. It does not wait until they listen.
func (w *wires) launch() error {
	w.ended = make(chan *process, len(w.commands))
	w.launched = now()
	for i, command := range w.commands {
		p, err := startProcess(command, filepath.Join(w.dir, fmt.Sprint("log", i)), w.ended)
		if err != nil {
			return err
		}
		w.relays = append(w.relays, p)
	}
	return nil
}

// stop ends the relays, closes what is owned and removes the folder.
func (w *wires) stop() error {
	var failures []error
	for _, p := range w.relays {
		p.terminate()
	}
	for _, p := range w.relays {
		failures = append(failures, p.wait(w.clean))
	}
	w.relays = nil
	failures = append(failures, w.closeFiles(), os.RemoveAll(w.dir))
	return errors.Join(failures...)
}

// closeFiles closes this process's copies of what the clients have inherited.
func (w *wires) closeFiles() error {
	var failures []error
	for side := range w.files {
		for _, file := range w.files[side] {
			failures = append(failures, file.Close())
		}
		w.files[side] = nil
	}
	return errors.Join(failures...)
}

// cpu is the processor time that the relays have taken since they were started.
func (w *wires) cpu() (time.Duration, error) {
	return sum(w.relays, (*process).cpu)
}

// pss is the memory of the relays in bytes: what they share with other processes counts in proportion.
func (w *wires) pss() (int64, error) {
	return sum(w.relays, (*process).pss)
}

func sum[T int64 | time.Duration](relays []*process, value func(*process) (T, error)) (total T, err error) {
	for _, p := range relays {
		one, err := value(p)
		if err != nil {
			return 0, err
		}
		total += one
	}
	return total, nil
}
