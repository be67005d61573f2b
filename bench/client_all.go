package main

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The methods of this file work on all of a client's links.

// Give writes Size bytes to each link, one after another. The other side is at Take.
func (c *Client) Give(w Work, _ *Result) error {
	message := make([]byte, w.Size)
	for _, p := range c.ports {
		if _, err := p.Write(message); err != nil {
			return err
		}
	}
	return nil
}

// Take reads Size bytes from each link, one after another.
func (c *Client) Take(w Work, r *Result) error {
	message := make([]byte, w.Size)
	for _, p := range c.ports {
		if _, err := io.ReadFull(p, message); err != nil {
			return err
		}
	}
	r.Ended = now()
	return nil
}

// SendAll writes messages of Size bytes to whichever link takes some, for as long as For: one thread that treats all
// links alike, so that who gets less got it from the relay. The other side is at ReceiveAll.
func (c *Client) SendAll(w Work, r *Result) error {
	message := make([]byte, w.Size)
	r.Began = now()
	over, start := false, time.Now()
	return c.each(unix.POLLOUT, r, func(fd int) (n int, done bool, err error) {
		if !over && time.Since(start) >= w.For {
			over, message = true, []byte{last}
		}
		n, err = unix.Write(fd, message)
		return n, over && n > 0, err
	})
}

// ReceiveAll reads each link up to its last byte.
func (c *Client) ReceiveAll(_ Work, r *Result) error {
	data := make([]byte, 64<<10)
	return c.each(unix.POLLIN, r, func(fd int) (n int, done bool, err error) {
		n, err = unix.Read(fd, data)
		if n == 0 {
			return 0, false, io.ErrUnexpectedEOF
		}
		return n, n > 0 && data[n-1] == last, err
	})
}

// each calls move for every link that is ready, in turns, until it is done with all of them. It counts the bytes.
func (c *Client) each(event int16, r *Result, move func(fd int) (n int, done bool, err error)) error {
	r.Bytes = make([]int64, len(c.ports))
	polls := make([]unix.PollFd, len(c.ports))
	for i, p := range c.ports {
		if err := unix.SetNonblock(p.fd, true); err != nil {
			return os.NewSyscallError("fcntl", err)
		}
		polls[i] = unix.PollFd{Fd: int32(p.fd), Events: event}
	}
	for rest := len(polls); rest > 0; {
		if _, err := unix.Poll(polls, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("poll", err)
		}
		first := rand.IntN(len(polls)) // else some links would always come just too early, or just in time
		for k := range polls {
			i := (first + k) % len(polls)
			if polls[i].Fd < 0 || polls[i].Revents == 0 {
				continue
			}
			n, done, err := move(int(polls[i].Fd))
			switch {
			case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
				continue
			case err != nil:
				return err
			case done:
				polls[i].Fd = -1 // poll(2) leaves it out
				rest--
			}
			r.Bytes[i] += int64(n)
		}
	}
	r.Ended = now()
	return nil
}
