package main

import (
	"io"
	"slices"
	"time"
)

// The methods of this file work on a client's first link.

// Trip sends messages of Size bytes and waits for each to come back, for as long as For. The other side is at Echo.
func (c *Client) Trip(w Work, r *Result) error {
	p, message := c.ports[0], make([]byte, w.Size)
	trip := func() error {
		if _, err := p.Write(message); err != nil {
			return err
		}
		_, err := io.ReadFull(p, message)
		return err
	}
	samples := make([]time.Duration, 0, 1<<18)
	start := time.Now()
	for before := start; before.Sub(start) < w.For; {
		if err := trip(); err != nil {
			return err
		}
		after := time.Now()
		samples = append(samples, after.Sub(before))
		before = after
	}
	message[w.Size-1] = last
	if err := trip(); err != nil {
		return err
	}
	slices.Sort(samples)
	r.Count = len(samples)
	r.P50, r.P99 = percentile(samples, 50), percentile(samples, 99)
	r.Longest = samples[len(samples)-1]
	return nil
}

// Echo sends messages of Size bytes back until one ends with the last byte.
func (c *Client) Echo(w Work, r *Result) error {
	p, message := c.ports[0], make([]byte, w.Size)
	for message[w.Size-1] != last {
		if _, err := io.ReadFull(p, message); err != nil {
			return err
		}
		if _, err := p.Write(message); err != nil {
			return err
		}
		r.Count++
	}
	r.Count-- // what Trip does not count either
	return nil
}

// Send writes messages of Size bytes as fast as they are taken, for as long as For. The other side is at Receive.
func (c *Client) Send(w Work, r *Result) error {
	p, message := c.ports[0], make([]byte, w.Size)
	// To look at the clock costs something as well; it is not done for every small message.
	batch := max(1, 4096/w.Size)
	r.Began = now()
	for start := time.Now(); time.Since(start) < w.For; r.Count += batch {
		for range batch {
			if _, err := p.Write(message); err != nil {
				return err
			}
		}
	}
	message[w.Size-1] = last
	if _, err := p.Write(message); err != nil {
		return err
	}
	r.Count++
	r.Bytes = []int64{int64(r.Count * w.Size)}
	return nil
}

// Receive reads up to the last byte.
func (c *Client) Receive(_ Work, r *Result) error {
	p, data := c.ports[0], make([]byte, 64<<10)
	r.Bytes = []int64{0}
	for n := 0; n == 0 || data[n-1] != last; {
		var err error
		if n, err = p.Read(data); err != nil {
			return err
		}
		r.Bytes[0] += int64(n)
	}
	r.Ended = now()
	return nil
}

// Return connects to Addresses, which is one, says a byte and waits for its echo, Count times; all but the last time it
// leaves again. Moments are the times before each connect(2). The other side is at Welcome.
func (c *Client) Return(w Work, r *Result) error {
	for i := range w.Count {
		if i > 0 {
			if err := c.HangUp(w, r); err != nil {
				return err
			}
			// A peer that returns was away for a while. Without it, its departure would be measured as well.
			if err := pause(2 * time.Millisecond); err != nil {
				return err
			}
		}
		r.Moments = append(r.Moments, now())
		if err := c.Connect(w, r); err != nil {
			return err
		}
		if _, err := c.ports[0].Write([]byte{more}); err != nil {
			return err
		}
		if _, err := io.ReadFull(c.ports[0], make([]byte, 1)); err != nil {
			return err
		}
	}
	return nil
}

// Welcome waits for a byte and sends it back, Count times. Moments are the times at which it came.
func (c *Client) Welcome(w Work, r *Result) error {
	p, message := c.ports[0], make([]byte, 1)
	for range w.Count {
		if _, err := io.ReadFull(p, message); err != nil {
			return err
		}
		r.Moments = append(r.Moments, now())
		if _, err := p.Write(message); err != nil {
			return err
		}
	}
	return nil
}

// ConnectAndWelcome is Connect, then Welcome.
func (c *Client) ConnectAndWelcome(w Work, r *Result) error {
	if err := c.Connect(w, r); err != nil {
		return err
	}
	return c.Welcome(w, r)
}
