package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"time"
)

// ask asks a hub's API for a path, at once and then at each interval, while work is done. It returns how long an answer took in the middle, in
// milliseconds. Without a path it does nothing but the work.
func (r *rig) ask(path string, interval time.Duration, work func() error) (took float64, err error) {
	if path == "" {
		return math.NaN(), work()
	}
	over, asked := make(chan struct{}), make(chan error, 1)
	var times []time.Duration
	go func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			before := time.Now()
			if err := r.askOnce(path); err != nil {
				asked <- err
				return
			}
			times = append(times, time.Since(before))
			select {
			case <-over:
				asked <- nil
				return
			case <-tick.C:
			}
		}
	}()
	err = work()
	close(over)
	if err = errors.Join(err, <-asked); err != nil {
		return 0, err
	}
	slices.Sort(times)
	return float64(percentile(times, 50)) / float64(time.Millisecond), nil
}

// askOnce takes a whole answer as Prometheus does: packed. It is not unpacked, because that would take time of the processors that are measured.
func (r *rig) askOnce(path string) error {
	request, err := http.NewRequestWithContext(r.ctx, http.MethodGet, "http://hub"+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept-Encoding", "gzip")
	response, err := r.caller().Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s was answered with %s", path, response.Status)
	}
	return nil
}
