// Package api is the hub's REST API: it shows the links, resets, stops and starts them.
package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"serialhub/internal/config"
	"serialhub/internal/endpoint"
	"serialhub/internal/relay"
	"serialhub/internal/reload"
	"serialhub/internal/supervisor"
	"serialhub/internal/watch"
)

// Hub is what the API needs of the running hub: its links.
type Hub interface {
	Links() []supervisor.Link
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
	About    About
	Log      *slog.Logger
}

// Handler answers the API's requests. It is safe for use by many goroutines, as http.Server does.
func Handler(parts Parts) http.Handler {
	hub, log := parts.Hub, parts.Log
	e := echo.New()
	e.HTTPErrorHandler = writeProblem(log)
	e.Pre(middleware.RemoveTrailingSlash())
	e.Use(middleware.RecoverWithConfig(middleware.RecoverConfig{LogErrorFunc: func(_ echo.Context, err error, stack []byte) error {
		log.Error("a handler panicked", "error", err, "stack", string(stack))
		return err
	}}))
	e.Use(guard)
	h := &handlers{hub: hub, reloader: parts.Reloader, about: parts.About}
	read := func(path string, handler echo.HandlerFunc) {
		e.GET(path, plain(handler))
		e.HEAD(path, plain(handler))
	}
	read("/links", h.links)
	read("/links/:name", h.link)
	e.GET("/links/:name/reset", plain(h.reset, "end"))
	e.POST("/links/:name/reset", plain(h.reset, "end"))
	e.POST("/links/:name/stop", plain(h.change(hub.StopLink)))
	e.POST("/links/:name/start", plain(h.change(hub.StartLink)))
	e.POST("/links/:name/break", plain(h.sendBreak, "end", "duration"))
	e.POST("/links/:name/send", known(h.send, "to", "inject"))
	e.GET("/links/:name/tap", plain(h.tap, "format", "end", "since_start", "n", "from", "follow", "color"))
	e.GET("/links/:name/attach", plain(h.attach, "end", "replace"))
	e.POST("/reload", plain(h.reload))
	read("/status", h.status)
	read("/healthz", h.healthy)
	read("/readyz", h.ready)
	return e
}

// plain refuses what the call does not know: a parameter that is mistyped or given twice, or a body, would otherwise be
// taken for nothing, and reset more than was meant.
func plain(next echo.HandlerFunc, parameters ...string) echo.HandlerFunc {
	return known(func(c echo.Context) error {
		body, err := io.ReadAll(io.LimitReader(c.Request().Body, 16))
		if err != nil {
			return newProblem(http.StatusBadRequest, "the body could not be read: %s", err)
		}
		if text := strings.TrimSpace(string(body)); text != "" && text != "{}" {
			return newProblem(http.StatusBadRequest, "this call takes no body; parameters go into the query, as in ?end=a")
		}
		return next(c)
	}, parameters...)
}

// known refuses parameters that the call does not know.
func known(next echo.HandlerFunc, parameters ...string) echo.HandlerFunc {
	return func(c echo.Context) error {
		for name, values := range c.QueryParams() {
			if !slices.Contains(parameters, name) {
				return newProblem(http.StatusBadRequest, "there is no parameter %q here", name)
			}
			if len(values) > 1 {
				return newProblem(http.StatusBadRequest, "the parameter %q is there %d times", name, len(values))
			}
		}
		return next(c)
	}
}

type handlers struct {
	hub      Hub
	reloader Reloader
	about    About
}

// answer writes a view indented, because its first reader is a person with curl.
func answer(c echo.Context, view any) error { return c.JSONPretty(http.StatusOK, view, "  ") }

func (h *handlers) links(c echo.Context) error {
	links := h.hub.Links()
	view := linksView{Links: make([]linkView, len(links))}
	for i, l := range links {
		view.Links[i] = viewLink(l)
	}
	return answer(c, view)
}

func (h *handlers) link(c echo.Context) error {
	link, err := h.hub.Link(c.Param("name"))
	if err != nil {
		return err
	}
	return answer(c, viewLink(link))
}

func (h *handlers) reset(c echo.Context) error {
	var sides []relay.Side
	if c.QueryParams().Has("end") {
		side, err := sideOf(c)
		if err != nil {
			return err
		}
		sides = append(sides, side)
	}
	link, err := h.hub.Reset(c.Request().Context(), c.Param("name"), sides...)
	if err != nil {
		return err
	}
	return answer(c, viewLink(link))
}

// sideOf reads the parameter end.
func sideOf(c echo.Context) (relay.Side, error) { return sideNamed(c, "end") }

// sideNamed reads a parameter that names an end.
func sideNamed(c echo.Context, parameter string) (relay.Side, error) {
	switch end := c.QueryParam(parameter); end {
	case "a":
		return relay.A, nil
	case "b":
		return relay.B, nil
	default:
		return 0, newProblem(http.StatusBadRequest, "a link has no end %q; write ?%s=a or ?%s=b", end, parameter, parameter)
	}
}

const (
	// usualBreak is how long a break is that nothing else is said of, as in tcsendbreak(3).
	usualBreak = 250 * time.Millisecond
	// longestBreak is how long one may be; nothing else can be sent meanwhile.
	longestBreak = 5 * time.Second
)

func (h *handlers) sendBreak(c echo.Context) error {
	side, err := sideOf(c)
	if err != nil {
		return err
	}
	d := usualBreak
	if text := c.QueryParam("duration"); text != "" {
		if d, err = time.ParseDuration(text); err != nil || d <= 0 || d > longestBreak {
			return newProblem(http.StatusBadRequest, "%q is not how long a break can be; write ?duration=250ms, or anything up to %v", text, longestBreak)
		}
	}
	err = h.hub.Break(c.Param("name"), side, d)
	switch {
	case errors.Is(err, supervisor.ErrNoLink):
		return err
	case err != nil:
		return newProblem(http.StatusConflict, "no break was sent: %s", err)
	}
	return h.link(c)
}

// change answers with the link as it is after a change.
func (h *handlers) change(change func(context.Context, string) (supervisor.Link, error)) echo.HandlerFunc {
	return func(c echo.Context) error {
		link, err := change(c.Request().Context(), c.Param("name"))
		if err != nil {
			return err
		}
		return answer(c, viewLink(link))
	}
}

func (h *handlers) reload(c echo.Context) error {
	changes, err := h.reloader.Reload(c.Request().Context())
	if err != nil {
		return &reloadError{err}
	}
	return answer(c, viewChanges(changes))
}

func (h *handlers) status(c echo.Context) error {
	return answer(c, statusView{
		Version:    h.about.Version,
		PID:        os.Getpid(),
		StartedAt:  h.about.StartedAt.UTC(),
		Config:     h.about.Config,
		LastReload: viewReload(h.reloader.Last()),
		Links:      countStates(h.hub.Links()),
	})
}

func (h *handlers) healthy(c echo.Context) error { return c.String(http.StatusOK, "ok\n") }

func (h *handlers) ready(c echo.Context) error {
	if names := h.hub.NotOpen(); len(names) > 0 {
		p := newProblem(http.StatusServiceUnavailable, "not open: %s", strings.Join(names, ", "))
		p.Links = names
		return p
	}
	return c.String(http.StatusOK, "ok\n")
}

// newServer makes an http.Server for handler. Its limits keep a client that sends or reads slowly from staying for ever.
func newServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, conn)
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
