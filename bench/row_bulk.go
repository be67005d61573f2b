package main

import (
	"context"
	"fmt"
	"time"
)

// bulk is as much as goes through one link. The jobs are pairs of Send and Receive.
func bulk(name string, jobs ...job) row {
	lines := []line{{name: "64 KiB writes", unit: "GB/s", more: true}, {name: "relay's CPU", unit: "ms/GB"}}
	measure := func(ctx context.Context, s *stage, c contender) (got sample, err error) {
		err = s.rig(ctx, c, 1, func(r *rig) error {
			f, err := r.flow(bulkWrite, s.time, jobs...)
			got.values = r.rate(f)
			return err
		})
		return got, err
	}
	return row{name: name, lines: lines, kinds: everybody(), measure: measure}
}

// stream is how fast many small messages go through one link, when the sender waits for nothing but room.
func stream(size int) row {
	lines := []line{{name: "messages per second", unit: "million/s", more: true}, {name: "relay's CPU per message", unit: "µs"}}
	measure := func(ctx context.Context, s *stage, c contender) (got sample, err error) {
		err = s.rig(ctx, c, 1, func(r *rig) error {
			f, err := r.flow(size, s.time, job{left, "Send", Work{}}, job{right, "Receive", Work{}})
			got.values = []float64{f.messages / 1e6 / f.seconds, r.each(f.cpu, f.messages, time.Microsecond)}
			return err
		})
		return got, err
	}
	return row{name: fmt.Sprintf("stream of %d B writes", size), lines: lines, kinds: everybody(), measure: measure}
}

// flow is what has gone through links, from the first byte sent to the last one received.
type flow struct {
	bytes, messages, seconds float64
	cpu                      time.Duration
	byLink                   []int64 // bytes, of the last pair of jobs
}

// rate is how fast a flow is, in GB/s, and the relays' processor time for a GB of it, in ms.
func (r *rig) rate(f flow) []float64 {
	return []float64{f.bytes / gigabyte / f.seconds, r.each(f.cpu, f.bytes/gigabyte, time.Millisecond)}
}

// flow brings the links up and has them carry a steady flow.
func (r *rig) flow(size int, run time.Duration, jobs ...job) (flow, error) {
	if err := r.up(); err != nil {
		return flow{}, err
	}
	return r.steady(size, run, jobs...)
}

// steady warms the links, and lets pairs of senders and receivers work, with writes of size bytes.
func (r *rig) steady(size int, run time.Duration, jobs ...job) (flow, error) {
	if _, err := r.flowOnce(size, warmUp, jobs); err != nil {
		return flow{}, err
	}
	return r.flowOnce(size, run, jobs)
}

func (r *rig) flowOnce(size int, run time.Duration, jobs []job) (f flow, err error) {
	told := make([]job, len(jobs))
	for i, j := range jobs {
		told[i] = job{j.side, j.do, Work{Size: size, For: run}}
	}
	cpu, results, err := r.cpuOf(told...)
	if err != nil {
		return f, err
	}
	began, ended := results[0].Began, results[1].Ended
	for i := 0; i < len(results); i += 2 {
		sent, received := results[i], results[i+1]
		if err := compareBytes(sent, received); err != nil {
			return f, err
		}
		began, ended = min(began, sent.Began), max(ended, received.Ended)
		f.bytes += float64(total(received.Bytes))
		f.messages += float64(sent.Count)
		f.byLink = received.Bytes
	}
	f.seconds, f.cpu = time.Duration(ended-began).Seconds(), cpu
	return f, nil
}
