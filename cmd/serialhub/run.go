package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/oklog/run"

	"serialhub/internal/api"
	"serialhub/internal/config"
	"serialhub/internal/supervisor"
)

// answerTime is how long a stopping hub waits for the API's answers under way.
const answerTime = time.Second

type runOptions struct {
	config, logLevel, logFormat string
}

// runHub runs the hub until a signal or a failure ends it.
func runHub(options runOptions) error {
	if options.config == "" {
		return errors.New("which links? Name the file: serialhub -c links.yaml")
	}
	c, err := config.Load(options.config)
	if err != nil {
		return err
	}
	if err := options.override(&c.Log); err != nil {
		return err
	}
	log := newLogger(os.Stderr, c.Log)
	if err := serve(c, log); err != nil {
		return &failure{err}
	}
	return nil
}

// override lets the command line have the last word on logging.
func (o runOptions) override(l *config.Log) (err error) {
	if o.logLevel != "" {
		if l.Level, err = config.ParseLevel(o.logLevel); err != nil {
			return fmt.Errorf("--log-level: %w", err)
		}
	}
	if o.logFormat != "" {
		if l.Format, err = config.ParseFormat(o.logFormat); err != nil {
			return fmt.Errorf("--log-format: %w", err)
		}
	}
	return nil
}

func newLogger(w io.Writer, l config.Log) *slog.Logger {
	options := &slog.HandlerOptions{Level: l.Level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// serve runs the parts of the process as one group: when one of them ends, all do.
func serve(c *config.Config, log *slog.Logger) error {
	var listeners []net.Listener
	for _, addr := range c.API.Listen {
		listener, err := api.Listen(addr)
		if err != nil {
			return errors.Join(append(closeAll(listeners), err)...)
		}
		listeners = append(listeners, listener)
	}
	links, err := supervisor.New(c.Links, log)
	if err != nil {
		return errors.Join(append(closeAll(listeners), err)...)
	}
	about := api.About{Version: version(), Config: c.Path, StartedAt: time.Now()}
	log.Info("started", "version", about.Version, "pid", os.Getpid(), "config", about.Config, "links", len(c.Links))

	var group run.Group
	signals := newSignals(log)
	group.Add(signals.run, signals.interrupt)
	group.Add(links.Run, func(error) { links.Stop() })
	server := api.Server(api.Handler(links, about, log), log)
	for i, listener := range listeners {
		group.Add(
			func() error {
				log.Info("the API answers", "address", c.API.Listen[i].Network+":"+listener.Addr().String())
				return ignoreClosed(server.Serve(listener))
			},
			func(error) { shutdown(server) },
		)
	}
	err = group.Run()
	log.Info("stopped")
	return err
}

func closeAll(listeners []net.Listener) (errs []error) {
	for _, listener := range listeners {
		errs = append(errs, listener.Close())
	}
	return errs
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func shutdown(server *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		server.Close() //nolint:errcheck // its listeners are closed already
	}
}

// signals is the actor that waits for the signals of a person or a service manager.
type signals struct {
	log  *slog.Logger
	got  chan os.Signal
	quit chan struct{}
}

func newSignals(log *slog.Logger) *signals {
	s := &signals{log: log, got: make(chan os.Signal, 4), quit: make(chan struct{})}
	signal.Notify(s.got, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	return s
}

// run returns nil when the hub is asked to end. From then on a second SIGTERM or SIGINT ends it at once.
func (s *signals) run() error {
	for {
		select {
		case got := <-s.got:
			if got == syscall.SIGHUP {
				s.log.Warn("SIGHUP ignored: this version reads its config only when it starts")
				continue
			}
			s.log.Info("stopping; a second signal ends the hub at once", "signal", got.String())
			go func() {
				for got := range s.got {
					if got != syscall.SIGHUP {
						s.log.Error("ended at once; what was on its way is lost", "signal", got.String())
						os.Exit(exitFailure)
					}
				}
			}()
			return nil
		case <-s.quit:
			return nil
		}
	}
}

func (s *signals) interrupt(error) { close(s.quit) }
