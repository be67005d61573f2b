// Package api is the hub's REST API: it shows the links, resets, stops and starts them.
package api

import (
	"context"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"serialhub/internal/config"
	"serialhub/internal/endpoint"
	"serialhub/internal/events"
	"serialhub/internal/relay"
	"serialhub/internal/reload"
	"serialhub/internal/rest"
	"serialhub/internal/supervisor"
	"serialhub/internal/watch"
)

// Hub is what the API needs of the running hub: its links.
type Hub interface {
	Links() []supervisor.Link
	All() iter.Seq[supervisor.Link]
	Link(name string) (supervisor.Link, error)
	Reset(ctx context.Context, name string, sides ...relay.Side) (supervisor.Link, error)
	StopLink(ctx context.Context, name string) (supervisor.Link, error)
	StartLink(ctx context.Context, name string) (supervisor.Link, error)
	Break(name string, side relay.Side, d time.Duration) error
	NotOpen() []string
	Tap(name string, start func(*watch.Tape) *watch.Reader) (*supervisor.Tap, error)
	Attach(ctx context.Context, name string, side relay.Side, who endpoint.Credentials, replace bool) (*supervisor.Attached, error)
	Say(ctx context.Context, name string, to relay.Side, data []byte, inject bool) error
}

// Reloader is what the API needs of the one who reads the config again.
type Reloader interface {
	Reload(ctx context.Context) (config.Changes, error)
	Last() reload.Result
}

// About is what the API tells of the process.
type About struct {
	Version   string
	Config    string // path of the file of links
	StartedAt time.Time
}

// Parts are what the API stands on.
type Parts struct {
	Hub      Hub
	Reloader Reloader
	Events   *events.Log // nil if nothing is to be heard of
	About    About
	Metrics  http.Handler // answers GET /metrics
	Log      *slog.Logger
}

// Handler answers the API's requests. It is safe for use by many goroutines, as http.Server does.
func Handler(parts Parts) http.Handler {
	log := parts.Log
	e := echo.New()
	e.HTTPErrorHandler = writeProblem(log)
	e.Pre(withoutSlash)
	e.Use(middleware.RecoverWithConfig(middleware.RecoverConfig{LogErrorFunc: func(_ echo.Context, err error, stack []byte) error {
		log.Error("a handler panicked", "error", err, "stack", string(stack))
		return err
	}}))
	door := &door{log: log, refusals: newSeldom(5)}
	e.Use(door.guard, door.authenticate)
	h := &handlers{hub: parts.Hub, reloader: parts.Reloader, events: parts.Events, about: parts.About, metrics: newScrapes(parts.Metrics)}
	if h.events == nil {
		h.events = events.NewLog()
	}
	rest.Register(e, h, func(call rest.Operation) echo.MiddlewareFunc {
		return func(next echo.HandlerFunc) echo.HandlerFunc {
			return door.authorize(call, audit(call, log, brief(asDocumented(call, next))))
		}
	})
	return e
}

// withoutSlash passes over a slash at the end of a path, however that is written.
func withoutSlash(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if address := c.Request().URL; len(address.Path) > 1 && strings.HasSuffix(address.EscapedPath(), "/") {
			address.Path, address.RawPath = strings.TrimSuffix(address.Path, "/"), strings.TrimSuffix(address.RawPath, "/")
		}
		return next(c)
	}
}

// asDocumented refuses what the call does not know: a parameter that is mistyped or given twice, or a body, would otherwise be
// taken for nothing, and reset more than was meant.
func asDocumented(call rest.Operation, next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if slices.Contains(c.ParamValues(), "") {
			return echo.ErrNotFound // the router takes nothing for a name
		}
		for name, values := range c.QueryParams() {
			if !slices.Contains(call.Parameters, name) {
				return newProblem(rest.ProblemBadParameter, "there is no parameter %q here", name)
			}
			if len(values) > 1 {
				return newProblem(rest.ProblemBadParameter, "the parameter %q is there %d times", name, len(values))
			}
		}
		if !call.Body {
			if err := noBody(c.Request()); err != nil {
				return err
			}
		}
		return next(c)
	}
}

func noBody(r *http.Request) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, 16))
	if err != nil {
		return newProblem(rest.ProblemBadBody, "the body could not be read: %s", err)
	}
	if text := strings.TrimSpace(string(body)); text != "" && text != "{}" {
		return newProblem(rest.ProblemBadBody, "this call takes no body; parameters go into the query, as in ?end=a")
	}
	return nil
}
