package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/oklog/run"

	"serialhub/internal/address"
	"serialhub/internal/api"
	"serialhub/internal/config"
	"serialhub/internal/continuity"
	"serialhub/internal/limits"
	"serialhub/internal/metrics"
	"serialhub/internal/reload"
	"serialhub/internal/supervisor"
)

// gcPercent makes the heap's slack small (GOGC, package runtime). Bytes on their way allocate nothing, so a hub of a thousand links spends
// its memory on their state, and no time on collecting it.
const gcPercent = 25

type runOptions struct {
	config, logLevel, logFormat string
	watch                       bool
}

// runHub runs the hub until a signal or a failure ends it.
func runHub(options runOptions) error {
	if options.config == "" {
		return errors.New("which links? Name the file: serialhub -c links.yaml")
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	var settings logSettings
	log := newLogger(os.Stderr, &settings)
	signals := newSignals(log) // before the config is read: a later request to reload it is not forgotten
	c, err := options.load()
	if err != nil {
		return err
	}
	settings.set(c.Log)
	if err := serve(c, options, signals, &settings, log); err != nil {
		return &failure{err}
	}
	return nil
}

// load reads the file, and lets the command line have the last word on logging.
func (o runOptions) load() (*config.Config, error) {
	c, err := config.Load(o.config)
	if err != nil {
		return nil, err
	}
	if o.logLevel != "" {
		if c.Log.Level, err = config.ParseLevel(o.logLevel); err != nil {
			return nil, fmt.Errorf("--log-level: %w", err)
		}
	}
	if o.logFormat != "" {
		if c.Log.Format, err = config.ParseFormat(o.logFormat); err != nil {
			return nil, fmt.Errorf("--log-format: %w", err)
		}
	}
	return c, nil
}

// serve runs the parts of the process as one group: when one of them ends, all do.
func serve(c *config.Config, options runOptions, signals *signals, settings *logSettings, log *slog.Logger) error {
	program, err := os.Executable() // now, before it may be replaced on disk
	if err != nil {
		return fmt.Errorf("this program cannot be found: %w", err)
	}
	manager, err := continuity.FindManager()
	if err != nil {
		return err
	}
	store, left, err := continuity.Open(manager, log)
	if err != nil {
		return err
	}
	before := state{StartedAt: time.Now()}
	if left.State != nil {
		if err := json.Unmarshal(left.State, &before); err != nil {
			return fmt.Errorf("what the program before this one has left cannot be read: %w", err)
		}
	}
	// The peers of a program that this one has replaced shall not pay for a limit or an address of the API.
	replaces := left.State != nil
	if err := limits.Fit(need(c.Links), log); err != nil && replaces {
		log.Error("some links will not work", "error", err)
	} else if err != nil {
		return err
	}
	links, err := supervisor.New(c.Links, log, &supervisor.Past{Store: store, Left: left, Links: before.Links, Events: before.Events})
	if err != nil {
		return err
	}
	notify := newNotifier(manager, links, log)
	var front *api.Front
	// All that can fail comes first: a reload that cannot have the API's new address changes nothing.
	reloader := reload.New(options.load, func(next *config.Config) (config.Changes, error) {
		if err := limits.Fit(need(next.Links), log); err != nil {
			return config.Changes{}, err
		}
		if err := front.Move(next.API); err != nil {
			return config.Changes{}, err
		}
		front.Limit(connections(next.Links))
		settings.set(next.Log)
		return links.Apply(next.Links)
	}, notify.reloading, links.Events(), log)
	about := api.About{Version: version(), Config: c.Path, StartedAt: before.StartedAt}
	measured := metrics.Handler(links, reloader, about.Version, log)
	handler := api.Handler(api.Parts{Hub: links, Reloader: reloader, Events: links.Events(), About: about, Metrics: measured, Log: log})
	if front, err = api.NewFront(handler, c.API, left.Take(api.SocketPrefix), log); err != nil && replaces {
		log.Error("the API does not answer; mend what the config says of it and reload", "error", err)
		front, err = api.NewFront(handler, config.API{}, nil, log)
	}
	if err != nil {
		return err
	}
	front.Limit(connections(c.Links))
	store.Discard(left)
	log.Info("started", "version", about.Version, "pid", os.Getpid(), "config", about.Config, "links", len(c.Links))

	var group run.Group
	replace := &upgrade{program: program, config: c.Path, startedAt: before.StartedAt, store: store, links: links, front: front, log: log}
	signals.reload, signals.upgrade = reloader.Ask, replace.run
	if replaces && isOutdated(program) {
		signals.got <- syscall.SIGUSR2 // it may have come before this program listened
	}
	group.Add(func() error {
		err := signals.run()
		if manager != nil {
			front.EndStreams() // so that who is attached gets what was sent to him
			log.Info("the peers are left to the service manager, and to the hub that it starts next")
			links.Leave()
		}
		return err
	}, signals.interrupt)
	if manager != nil {
		group.Add(notify.run, notify.interrupt)
	}
	group.Add(front.Run, func(error) { front.Stop() }) // before the links: who watches one is told that the hub stops, not that the link is gone
	group.Add(links.Run, func(error) { links.Stop() })
	group.Add(reloader.Run, func(error) { reloader.Stop() })
	if options.watch {
		watcher, err := reload.NewWatcher(c.Path, reloader.Ask, log)
		if err != nil {
			return err
		}
		group.Add(watcher.Run, func(error) { watcher.Stop() })
	}
	err = group.Run()
	log.Info("stopped")
	return err
}

// connections is how many there may be to the API, for there to be descriptors enough for the links.
func connections(links []config.Link) int {
	return min(api.MostConnections, limits.ForCallers(need(links))/api.DescriptorsPerConnection)
}

// need is what the links of a config need, and the API's callers.
func need(links []config.Link) (n limits.Need) {
	n.Callers = api.MostConnections * api.DescriptorsPerConnection
	for _, link := range links {
		n.Stashes++
		if link.Disabled {
			continue
		}
		n.Links++
		if link.Scrollback > 0 || link.Transcript != nil {
			n.Extra++ // the tape
		}
		if link.Transcript != nil {
			n.Extra += 2 // its files
		}
		if link.Absent == config.AbsentBuffer {
			n.Buffers += 2
		}
		for _, end := range link.Ends() {
			switch end.Address.Kind() {
			case address.TLS:
				n.Extra += 4 // the listener's copy and its queue; the connection, and the other side of the pair
			case address.PTY:
				n.Extra++ // the bell
			}
		}
	}
	return n
}
