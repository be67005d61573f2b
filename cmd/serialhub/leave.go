package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// untilLeft gives a context that ends when the person has had enough: by Ctrl-C, or when nobody reads any more what is written to a pipe;
// otherwise the tap of a silent guest would go on when the program at the other end of the pipe is long gone. If out is nil, nobody has to read.
func untilLeft(ctx context.Context, out *os.File) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends a program that cannot write
	if out != nil {
		go untilUnread(out, stop)
	}
	return ctx, stop
}

// untilUnread calls gone when nobody reads any more what is written to a pipe. It ends with the process.
func untilUnread(out *os.File, gone func()) {
	fds := []unix.PollFd{{Fd: int32(out.Fd())}}
	for {
		switch _, err := unix.Poll(fds, -1); {
		case err == nil:
			gone()
			return
		case !errors.Is(err, unix.EINTR):
			return
		}
	}
}
