package api

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	openapi "serialhub/api"
	"serialhub/internal/events"
	"serialhub/internal/relay"
	"serialhub/internal/rest"
	"serialhub/internal/supervisor"
)

// handlers answer the calls of the API: each method has the name of an operation of the document.
type handlers struct {
	hub      Hub
	reloader Reloader
	events   *events.Log
	about    About
	metrics  *scrapes
}

// answer writes indented JSON, because its first reader is a person with curl.
func answer(c echo.Context, shown any) error { return c.JSONPretty(http.StatusOK, shown, "  ") }

func (h *handlers) ListLinks(c echo.Context) error {
	return answerLinks(c, h.hub.All())
}

func (h *handlers) GetLink(c echo.Context, name string) error {
	link, err := h.hub.Link(name)
	return answerLink(c, link, err)
}

func answerLink(c echo.Context, link supervisor.Link, err error) error {
	if err != nil {
		return err
	}
	return answer(c, showLink(link))
}

func (h *handlers) ResetLink(c echo.Context, name string, params rest.ResetLinkParams) error {
	var sides []relay.Side
	if params.End != nil {
		side, err := sideNamed("end", *params.End)
		if err != nil {
			return err
		}
		sides = append(sides, side)
	}
	link, err := h.hub.Reset(c.Request().Context(), name, sides...)
	return answerLink(c, link, err)
}

func (h *handlers) ResetLinkByGet(c echo.Context, name string, params rest.ResetLinkByGetParams) error {
	return h.ResetLink(c, name, rest.ResetLinkParams(params))
}

// sideNamed reads a parameter that names an end.
func sideNamed(parameter string, end rest.EndName) (relay.Side, error) {
	switch end {
	case rest.A:
		return relay.A, nil
	case rest.B:
		return relay.B, nil
	default:
		return 0, newProblem(rest.ProblemBadParameter, "a link has no end %q; write ?%s=a or ?%s=b", end, parameter, parameter)
	}
}

const (
	// usualBreak is how long a break is that nothing else is said of, as in tcsendbreak(3).
	usualBreak = 250 * time.Millisecond
	// longestBreak is how long one may be; nothing else can be sent meanwhile.
	longestBreak = 5 * time.Second
)

func (h *handlers) BreakLink(c echo.Context, name string, params rest.BreakLinkParams) error {
	side, err := sideNamed("end", params.End)
	if err != nil {
		return err
	}
	d := usualBreak
	if params.Duration != nil {
		if d, err = time.ParseDuration(*params.Duration); err != nil || d <= 0 || d > longestBreak {
			return newProblem(rest.ProblemBadParameter, "%q is not how long a break can be; write ?duration=250ms, or anything up to %v", *params.Duration, longestBreak)
		}
	}
	err = h.hub.Break(name, side, d)
	switch {
	case errors.Is(err, supervisor.ErrNoLink):
		return err
	case err != nil:
		return newProblem(rest.ProblemNoBreak, "no break was sent: %s", err)
	}
	return h.GetLink(c, name)
}

func (h *handlers) StopLink(c echo.Context, name string) error {
	link, err := h.hub.StopLink(c.Request().Context(), name)
	return answerLink(c, link, err)
}

func (h *handlers) StartLink(c echo.Context, name string) error {
	link, err := h.hub.StartLink(c.Request().Context(), name)
	return answerLink(c, link, err)
}

func (h *handlers) ReloadConfig(c echo.Context) error {
	changes, err := h.reloader.Reload(c.Request().Context())
	if err != nil {
		return &reloadError{err}
	}
	return answer(c, showChanges(changes))
}

func (h *handlers) GetStatus(c echo.Context) error {
	return answer(c, rest.Status{
		Version:    h.about.Version,
		PID:        os.Getpid(),
		StartedAt:  h.about.StartedAt.UTC(),
		Config:     h.about.Config,
		LastReload: showReload(h.reloader.Last()),
		Links:      countStates(h.hub.Links()),
	})
}

func (h *handlers) GetHealth(c echo.Context) error { return c.String(http.StatusOK, "ok\n") }

func (h *handlers) GetReadiness(c echo.Context) error {
	if names := h.hub.NotOpen(); len(names) > 0 {
		p := newProblem(rest.ProblemNotReady, "not open: %s", strings.Join(names, ", "))
		p.Links = names
		return p
	}
	return c.String(http.StatusOK, "ok\n")
}

func (h *handlers) GetDocument(c echo.Context) error {
	return c.Blob(http.StatusOK, "application/yaml", openapi.Document())
}

func (h *handlers) GetMetrics(c echo.Context) error { return h.metrics.answer(c) }

// The server writes no body for these.

func (h *handlers) HeadLinks(c echo.Context) error             { return h.ListLinks(c) }
func (h *handlers) HeadLink(c echo.Context, name string) error { return h.GetLink(c, name) }
func (h *handlers) HeadStatus(c echo.Context) error            { return h.GetStatus(c) }
func (h *handlers) HeadHealth(c echo.Context) error            { return h.GetHealth(c) }
func (h *handlers) HeadReadiness(c echo.Context) error         { return h.GetReadiness(c) }
func (h *handlers) HeadMetrics(c echo.Context) error           { return h.GetMetrics(c) }
func (h *handlers) HeadDocument(c echo.Context) error          { return h.GetDocument(c) }
