package main

import (
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// signals is the actor that waits for the signals of a person or a service manager.
type signals struct {
	log    *slog.Logger
	reload func() // is called for SIGHUP; does not wait
	got    chan os.Signal
	quit   chan struct{}
}

func newSignals(reload func(), log *slog.Logger) *signals {
	s := &signals{log: log, reload: reload, got: make(chan os.Signal, 4), quit: make(chan struct{})}
	signal.Notify(s.got, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	return s
}

// run returns nil when the hub is asked to end. From then on a second SIGTERM or SIGINT ends it at once.
func (s *signals) run() error {
	for {
		select {
		case got := <-s.got:
			if got == syscall.SIGHUP {
				s.reload()
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
		if got != syscall.SIGHUP {
			s.log.Error("ended at once; what was on its way is lost", "signal", got.String())
			os.Exit(exitFailure)
		}
	}
}

func (s *signals) interrupt(error) { close(s.quit) }
