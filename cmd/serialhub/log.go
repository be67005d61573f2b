package main

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"

	"serialhub/internal/config"
)

// logSettings are what a reload can change of a log that is in use.
type logSettings struct {
	level slog.LevelVar
	json  atomic.Bool
}

func (s *logSettings) set(l config.Log) {
	s.level.Set(l.Level)
	s.json.Store(l.Format == "json")
}

// newLogger makes a logger that follows settings, as do the loggers that are derived from it.
func newLogger(w io.Writer, settings *logSettings) *slog.Logger {
	options := &slog.HandlerOptions{Level: &settings.level}
	return slog.New(&logHandler{settings: settings, text: slog.NewTextHandler(w, options), json: slog.NewJSONHandler(w, options)})
}

// logHandler writes each record in the format that is set when it is written.
type logHandler struct {
	settings   *logSettings
	text, json slog.Handler
}

func (h *logHandler) now() slog.Handler {
	if h.settings.json.Load() {
		return h.json
	}
	return h.text
}

func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.now().Enabled(ctx, level)
}

func (h *logHandler) Handle(ctx context.Context, record slog.Record) error {
	return h.now().Handle(ctx, record)
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{settings: h.settings, text: h.text.WithAttrs(attrs), json: h.json.WithAttrs(attrs)}
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{settings: h.settings, text: h.text.WithGroup(name), json: h.json.WithGroup(name)}
}
