package api

import (
	"io"
	"log/slog"
	"net/http"
	"path"

	"github.com/labstack/echo/v4"

	"serialhub/internal/access"
	"serialhub/internal/rest"
)

// maxBody is how long the body of any call may be, in bytes.
const maxBody = 64 << 10

// body is that of a request. It counts what is read of it.
type body struct {
	io.ReadCloser
	read int64
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	return n, err
}

// brief refuses a body that is longer than that of any call.
func brief(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		r.Body = &body{ReadCloser: http.MaxBytesReader(c.Response().Writer, r.Body, maxBody)}
		return next(c)
	}
}

// auditKey is under which a call has what writes its line.
const auditKey = "audit"

// audit logs a call that changes something: who made it, from where, what it was, and how it ended. What was said to a peer is not told, only how
// much.
func audit(call rest.Operation, log *slog.Logger, next echo.HandlerFunc) echo.HandlerFunc {
	if roleFor(call) != access.Admin {
		return next
	}
	what := path.Base(call.Path)
	return func(c echo.Context) error {
		record := func(what string, err error) {
			log.LogAttrs(c.Request().Context(), slog.LevelInfo, "audit", line(c, what, err)...)
		}
		c.Set(auditKey, record)
		err := next(c)
		if err != nil || what != attached { // which has told by itself of its beginning and its end
			record(what, err)
		}
		return err
	}
}

// What is recorded of somebody who is a peer.
const (
	attached = "attach"
	detached = "detach"
)

// line are the attributes of a line of the audit.
func line(c echo.Context, what string, err error) []slog.Attr {
	r := c.Request()
	caller, _ := callerOf(r.Context())
	attrs := []slog.Attr{slog.String("what", what), slog.String("who", caller.Who), slog.String("from", caller.From)}
	if name := c.Param("name"); name != "" {
		attrs = append(attrs, slog.String("link", name))
	}
	for _, parameter := range []string{"end", "to"} {
		if end := c.QueryParam(parameter); end != "" {
			attrs = append(attrs, slog.String("end", end))
		}
	}
	if body, ok := r.Body.(*body); ok && what == "send" {
		attrs = append(attrs, slog.Int64("bytes", body.read))
	}
	attrs = append(attrs, slog.Bool("ok", err == nil))
	if err != nil {
		attrs = append(attrs, slog.String("error", asProblem(err, c).Detail))
	}
	return attrs
}

// recorded tells the audit of something that is part of a call.
func recorded(c echo.Context, what string, err error) {
	if record, ok := c.Get(auditKey).(func(string, error)); ok {
		record(what, err)
	}
}
