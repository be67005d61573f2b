package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"serialhub/internal/config"
	"serialhub/internal/reload"
	"serialhub/internal/supervisor"
)

// problem is an error as RFC 9457 has it.
type problem struct {
	Title  string         `json:"title"`
	Status int            `json:"status"`
	Detail string         `json:"detail"`
	Faults []config.Fault `json:"faults,omitempty"` // of a config that was not applied
	Links  []string       `json:"links,omitempty"`  // that are not open
}

func (p *problem) Error() string { return p.Detail }

func newProblem(status int, format string, args ...any) *problem {
	return &problem{Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)}
}

// reloadError is an error of a reload, after which nothing has changed.
type reloadError struct{ error }

func (e *reloadError) Unwrap() error { return e.error }

func (e *reloadError) problem() *problem {
	p := newProblem(http.StatusUnprocessableEntity, "%s", e.error)
	p.Faults = []config.Fault{{Message: e.Error()}}
	if faults := (*config.Faults)(nil); errors.As(e.error, &faults) {
		p.Faults = faults.List
	}
	return p
}

// asProblem finds the problem that an error of a handler, or of echo itself, stands for.
func asProblem(err error, c echo.Context) *problem {
	var known *problem
	var failed *reloadError
	var http4xx *echo.HTTPError
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, supervisor.ErrNoLink):
		return newProblem(http.StatusNotFound, "%s; GET /links lists all", err)
	case errors.Is(err, supervisor.ErrStopping), errors.Is(err, reload.ErrStopping):
		return newProblem(http.StatusServiceUnavailable, "%s", err)
	case errors.As(err, &failed):
		return failed.problem()
	case errors.Is(err, echo.ErrNotFound):
		return newProblem(http.StatusNotFound, "there is nothing at %s; GET /links lists the links", c.Request().URL.Path)
	case errors.Is(err, echo.ErrMethodNotAllowed):
		return newProblem(http.StatusMethodNotAllowed, "%s takes %s", c.Request().URL.Path, c.Response().Header().Get(echo.HeaderAllow))
	case errors.As(err, &http4xx) && http4xx.Code < 500:
		return newProblem(http4xx.Code, "%v", http4xx.Message)
	default:
		return newProblem(http.StatusInternalServerError, "the hub could not do this; its log says why")
	}
}

// writeProblem is echo's HTTPErrorHandler.
func writeProblem(log *slog.Logger) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		if c.Response().Committed {
			return
		}
		p := asProblem(err, c)
		if p.Status == http.StatusInternalServerError {
			log.Error("a request failed", "method", c.Request().Method, "path", c.Request().URL.Path, "error", err)
		}
		body, err := json.MarshalIndent(p, "", "  ")
		if err == nil {
			err = c.Blob(p.Status, "application/problem+json", append(body, '\n'))
		}
		if err != nil {
			log.Debug("an answer could not be written", "error", err)
		}
	}
}
