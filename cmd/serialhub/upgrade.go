package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"time"

	"serialhub/internal/api"
	"serialhub/internal/continuity"
	"serialhub/internal/events"
	"serialhub/internal/supervisor"
)

// trialTime is how long the new program may take for each question before it is thought to be broken.
const trialTime = 10 * time.Second

// handover names what a program leaves for the next one, and how. A program that does not know it cannot take over.
const handover = "2"

// state is what this program leaves for the one that replaces it, beside descriptors.
type state struct {
	StartedAt time.Time         `json:"started_at"`
	Links     []supervisor.Link `json:"links"`
	Events    events.History    `json:"events"`
}

// upgrade replaces the running program by the one on disk (SIGUSR2).
type upgrade struct {
	program   string // the path of this program, as it was at the start
	config    string
	startedAt time.Time
	store     *continuity.Store
	links     *supervisor.Supervisor
	front     *api.Front
	log       *slog.Logger
}

// run tries the program on disk and, if it is fit, lets it take this one's place. It returns only if that is not possible, and
// nothing has changed then. letGo has the last word.
func (u *upgrade) run(letGo func() bool) {
	u.log.Info("upgrading", "program", u.program)
	if err := u.try(); err != nil {
		u.log.Error("not upgraded, and nothing was changed", "program", u.program, "error", err)
		return
	}
	resume := u.front.Pause()
	err := u.links.Halt(func(links []supervisor.Link, history events.History) error {
		if !letGo() {
			return errors.New("the hub is to end")
		}
		return u.store.ReplaceProcess(u.program, os.Args, state{StartedAt: u.startedAt, Links: links, Events: history}, u.front.Sockets()...)
	})
	resume()
	u.log.Error("not upgraded, and nothing was changed", "program", u.program, "error", err)
}

// isOutdated tells whether the program on disk is another one than the one that runs.
func isOutdated(program string) bool {
	runs, err := os.Stat("/proc/self/exe")
	if err != nil {
		return false
	}
	onDisk, err := os.Stat(program)
	return err == nil && !os.SameFile(runs, onDisk)
}

// try asks the program on disk whether it is a serialhub, and what it says of the config.
func (u *upgrade) try() error {
	said, err := u.ask("version")
	if err != nil {
		return err
	}
	if !strings.HasPrefix(said, "serialhub ") {
		return fmt.Errorf("it is not serialhub: asked for its version, it says %q", said)
	}
	if _, err = u.ask("check", "--handover", handover, "-c", u.config); err != nil {
		return err
	}
	if !u.links.Kept() {
		return errors.New("some peers would be lost, as the log has told before; is the limit of descriptors too low?")
	}
	return nil
}

func (u *upgrade) ask(args ...string) (said string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), trialTime)
	defer cancel()
	command := exec.CommandContext(ctx, u.program, args...)
	command.WaitDelay = time.Second
	var out, complaint bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaint
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", u.program, strings.Join(args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return strings.TrimSpace(out.String()), nil
}
