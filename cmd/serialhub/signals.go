package main

import (
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// signals is the actor that waits for the signals of a person or a service manager.
type signals struct {
	log     *slog.Logger
	reload  func()                  // is called for SIGHUP; does not wait
	upgrade func(letGo func() bool) // is called for SIGUSR2; returns only if the program goes on
	got     chan os.Signal
	quit    chan struct{}
}

// newSignals listens from now on; before run, reload and upgrade have to be set.
func newSignals(log *slog.Logger) *signals {
	s := &signals{log: log, got: make(chan os.Signal, 4), quit: make(chan struct{})}
	s.listen()
	return s
}

func (s *signals) listen() {
	signal.Notify(s.got, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR2)
}

// letGo is called right before another program takes this one's place, and tells whether that may happen. The new program does not listen
// at first. A request to reload or to upgrade would end it, and is ignored instead (execve(2) keeps that): it reads the config
// after it has begun to listen, and looks then whether there is a newer program. A request to end ends it, as it should; one that has
// come already would be forgotten, so the hub ends instead.
func (s *signals) letGo() bool {
	signal.Ignore(syscall.SIGHUP, syscall.SIGUSR2)
	signal.Reset(syscall.SIGTERM, syscall.SIGINT)
	for {
		select {
		case got := <-s.got:
			if got == syscall.SIGTERM || got == syscall.SIGINT {
				s.got <- got // there is room for what has just been taken out
				return false
			}
		default:
			return true
		}
	}
}

// run returns nil when the hub is asked to end. From then on a second SIGTERM or SIGINT ends it at once.
func (s *signals) run() error {
	for {
		select {
		case got := <-s.got:
			switch got {
			case syscall.SIGHUP:
				s.reload()
				continue
			case syscall.SIGUSR2:
				s.upgrade(s.letGo)
				s.listen() // again, because it may have let go
				continue
			}
			s.log.Info("stopping; a second signal ends the hub at once", "signal", got.String())
			go s.exitAtTheNext()
			return nil
		case <-s.quit:
			return nil
		}
	}
}

func (s *signals) exitAtTheNext() {
	for got := range s.got {
		if got != syscall.SIGHUP && got != syscall.SIGUSR2 {
			s.log.Error("ended at once; what was on its way is lost", "signal", got.String())
			os.Exit(exitFailure)
		}
	}
}

func (s *signals) interrupt(error) { close(s.quit) }
