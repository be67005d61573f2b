package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
)

// client is a client process, as the program that has started it sees it.
type client struct {
	name string
	cmd  *exec.Cmd
	rpc  *rpc.Client
}

// startClient starts this program as a client that inherits files. It is killed when ctx ends.
func startClient(ctx context.Context, self, name string, files []*os.File) (*client, error) {
	cmd := exec.CommandContext(ctx, self, clientCommand)
	cmd.Stderr = os.Stderr // only a panic says something there
	cmd.ExtraFiles = files
	cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1") // no signals to those who block in rawRead
	cmd.SysProcAttr = ownGroup()
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &client{name: name, cmd: cmd, rpc: rpc.NewClient(pipes{out, in})}, nil
}

// call has the client do something, and waits until it is done.
func (c *client) call(do string, work Work, result *Result) error {
	if err := c.rpc.Call("Client."+do, work, result); err != nil {
		return fmt.Errorf("%s client: %s: %w", c.name, do, err)
	}
	return nil
}

// close lets the client end, and waits for it.
func (c *client) close() error {
	err := c.rpc.Close()
	if waited := c.cmd.Wait(); waited != nil {
		return fmt.Errorf("%s client: %w", c.name, waited)
	}
	return err
}

// pipes are the two directions of a conversation.
type pipes struct {
	io.ReadCloser
	io.WriteCloser
}

// Close closes both.
func (p pipes) Close() error {
	return errors.Join(p.WriteCloser.Close(), p.ReadCloser.Close())
}
