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
	media     [2]medium     // by side: how the clients are connected
	addresses [2][]string   // by side and link: the places where the clients go
	files     [2][]*os.File // by side and link: the places that the clients inherit instead; owned, until closeFiles
	api       string        // the socket of a hub's API; empty for others
	commands  [][]string    // of the relays
	clean     bool          // the relays end with exit code 0 when they are told to

	relays   []*process
	ended    chan *process // each relay that has ended, whatever the reason
	launched int64         // when the first one was started, as now tells
}

// end adds an end of a link, and returns the place where the relay and the client meet.
func (w *wires) end(side int, e end, name string) (place string, err error) {
	if place, err = e.medium.place(w.dir, name); err != nil {
		return "", err
	}
	return place, w.client(side, e, place)
}

// link adds both ends of the link with a number, and returns what a relay is told of them, in its language.
func (w *wires) link(ends [2]end, number int, tell func(e end, dir, place string) string) (a, b string, err error) {
	var told [2]string
	for side, e := range ends {
		place, err := w.end(side, e, fmt.Sprint(number, string("ab"[side])))
		if err != nil {
			return "", "", err
		}
		told[side] = tell(e, w.dir, place)
	}
	return told[left], told[right], nil
}

// client adds a client's side of an end.
func (w *wires) client(side int, e end, place string) error {
	w.media[side] = e.medium
	if !e.goes {
		w.addresses[side] = append(w.addresses[side], place)
		return nil
	}
	file, err := e.medium.create(place)
	if err == nil {
		w.files[side] = append(w.files[side], file)
	}
	return err
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
