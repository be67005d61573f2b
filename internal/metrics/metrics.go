// Package metrics shows the hub to Prometheus: what GET /links tells of the links, and what is known of the process.
package metrics

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"serialhub/internal/reload"
	"serialhub/internal/supervisor"
)

// Hub is whose links are shown.
type Hub interface {
	Links() []supervisor.Link
}

// Reloader knows how the config was read.
type Reloader interface {
	Last() reload.Result
	LastSuccess() time.Time
}

// Handler answers with the metrics as they are at that moment, in the text format of Prometheus, packed if the caller takes that. It is safe for
// use by many goroutines; each request asks the hub by itself.
func Handler(hub Hub, reloader Reloader, version string, log *slog.Logger) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		value("serialhub_build_info", "Always 1; the labels tell the version of serialhub and of the Go that it was built with.",
			prometheus.Labels{"version": version, "goversion": runtime.Version()}, func() float64 { return 1 }),
		value("serialhub_config_last_reload_successful", "1 if the config was applied when it was last read, at the start or later, else 0.",
			nil, func() float64 { return truth(reloader.Last().Err == nil) }),
		value("serialhub_config_last_reload_success_timestamp_seconds", "When a config was last applied, in seconds since 1970.",
			nil, func() float64 { return float64(reloader.LastSuccess().UnixMilli()) / 1000 }),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.HandlerFor(&gatherer{hub, registry, log}, promhttp.HandlerOpts{
		ErrorLog:        errorLog{log},
		AcceptedFormats: []expfmt.Format{expfmt.NewFormat(expfmt.TypeTextPlain)}, // the library would rather give curl protobuf
	})
}

func value(name, help string, labels prometheus.Labels, get func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, get)
}

// gatherer adds the links to what a registry has. They are no collector of the registry, which would take more time than all else, and several
// processors at once, to put in order and to compare what is in order and different: docs/performance.md.
type gatherer struct {
	hub      Hub
	registry *prometheus.Registry
	log      *slog.Logger
}

// Gather is part of prometheus.Gatherer. What the registry cannot tell is logged and left out, rather than that nothing is told.
func (g *gatherer) Gather() ([]*dto.MetricFamily, error) {
	families, err := g.registry.Gather()
	if err != nil {
		g.log.Error("some metrics are left out", "error", err)
	}
	families = append(families, linkFamilies(g.hub.Links())...)
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return families, nil
}

// errorLog is told of answers that could not be written, which happens when the caller has gone.
type errorLog struct{ log *slog.Logger }

func (l errorLog) Println(words ...any) {
	l.log.Warn("the metrics could not be sent", "error", fmt.Sprint(words...))
}
