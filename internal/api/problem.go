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
	"serialhub/internal/rest"
	"serialhub/internal/supervisor"
)

// problem is an error as RFC 9457 has it.
type problem struct{ rest.Problem }

func (p *problem) Error() string { return p.Detail }

func newProblem(kind rest.ProblemType, format string, args ...any) *problem {
	status, title := meaning(kind)
	return &problem{rest.Problem{Type: kind, Title: title, Status: status, Detail: fmt.Sprintf(format, args...)}}
}

// meaning gives the status and the title of each kind of problem.
func meaning(kind rest.ProblemType) (status int, title string) {
	switch kind {
	case rest.ProblemBadParameter:
		return http.StatusBadRequest, "A parameter is wrong"
	case rest.ProblemBadBody:
		return http.StatusBadRequest, "The body is wrong"
	case rest.ProblemBadRequest:
		return http.StatusBadRequest, "The request is wrong"
	case rest.ProblemUnauthorized:
		return http.StatusUnauthorized, "A token is needed"
	case rest.ProblemForbidden:
		return http.StatusForbidden, "The caller may not do this"
	case rest.ProblemForeignHost:
		return http.StatusForbidden, "The request is for another host"
	case rest.ProblemCrossSite:
		return http.StatusForbidden, "Another site may not call the hub"
	case rest.ProblemNoSuchLink:
		return http.StatusNotFound, "There is no such link"
	case rest.ProblemNoSuchPath:
		return http.StatusNotFound, "There is no such path"
	case rest.ProblemMethodNotAllowed:
		return http.StatusMethodNotAllowed, "The path takes other methods"
	case rest.ProblemEndBusy:
		return http.StatusConflict, "The end has a peer"
	case rest.ProblemNotAttachable:
		return http.StatusConflict, "Nobody can be attached"
	case rest.ProblemOtherPeer:
		return http.StatusConflict, "A peer is at the other end"
	case rest.ProblemNotSent:
		return http.StatusConflict, "It was not said"
	case rest.ProblemNoBreak:
		return http.StatusConflict, "No break can be sent"
	case rest.ProblemNoScrollback:
		return http.StatusConflict, "The link keeps nothing"
	case rest.ProblemBodyTooLarge:
		return http.StatusRequestEntityTooLarge, "The body is too large"
	case rest.ProblemReloadFailed:
		return http.StatusUnprocessableEntity, "The config was not applied"
	case rest.ProblemNotAWebSocket:
		return http.StatusUpgradeRequired, "This call is a WebSocket"
	case rest.ProblemNotReady:
		return http.StatusServiceUnavailable, "Not every link is open"
	case rest.ProblemTooManyStreams:
		return http.StatusServiceUnavailable, "There are too many streams"
	case rest.ProblemTooManyConnections:
		return http.StatusServiceUnavailable, "There are too many connections"
	case rest.ProblemStopping:
		return http.StatusServiceUnavailable, "The hub is stopping"
	default:
		return http.StatusInternalServerError, "The hub has failed"
	}
}

// problemType is the type of a problem's text.
const problemType = "application/problem+json"

func (p *problem) text() ([]byte, error) {
	body, err := json.MarshalIndent(p, "", "  ")
	return append(body, '\n'), err
}

// retryAfter is how many seconds later somebody may try again who cannot be served now.
const retryAfter = "5"

// tooMany says that there are more of something than the hub serves at once.
func tooMany(kind rest.ProblemType, what string) *problem {
	return newProblem(kind, "the hub has too many %s already; try again later, or end some", what)
}

func tooManyStreams() *problem { return tooMany(rest.ProblemTooManyStreams, "streams") }

// reloadError is an error of a reload, after which nothing has changed.
type reloadError struct{ error }

func (e *reloadError) Unwrap() error { return e.error }

func (e *reloadError) problem() *problem {
	p := newProblem(rest.ProblemReloadFailed, "%s", e.error)
	p.Faults = []rest.Fault{{Message: e.Error()}}
	if faults := (*config.Faults)(nil); errors.As(e.error, &faults) {
		p.Faults = showFaults(faults.List)
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
		return newProblem(rest.ProblemNoSuchLink, "%s; the links are listed at /links", err)
	case errors.Is(err, supervisor.ErrStopping), errors.Is(err, reload.ErrStopping):
		return newProblem(rest.ProblemStopping, "%s", err)
	case errors.As(err, &failed):
		return failed.problem()
	case errors.Is(err, echo.ErrNotFound):
		return newProblem(rest.ProblemNoSuchPath, "there is nothing at %s; /openapi.yaml tells what there is, and the links are listed at /links", c.Request().URL.Path)
	case errors.Is(err, echo.ErrMethodNotAllowed):
		return newProblem(rest.ProblemMethodNotAllowed, "%s takes %s", c.Request().URL.Path, c.Response().Header().Get(echo.HeaderAllow))
	case errors.As(err, &http4xx) && http4xx.Code == http.StatusRequestEntityTooLarge:
		return newProblem(rest.ProblemBodyTooLarge, "%v", http4xx.Message)
	case errors.As(err, &http4xx) && http4xx.Code < 500:
		return newProblem(rest.ProblemBadRequest, "%v", http4xx.Message)
	default:
		return newProblem(rest.ProblemInternal, "the hub could not do this; its log says why")
	}
}

// writeProblem is echo's HTTPErrorHandler.
func writeProblem(log *slog.Logger) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		if c.Response().Committed {
			return
		}
		p := asProblem(err, c)
		if p.Type == rest.ProblemInternal && c.Request().Context().Err() == nil { // else the caller has gone, and asks no more
			log.Error("a request failed", "method", c.Request().Method, "path", c.Request().URL.Path, "error", err)
		}
		body, err := p.text()
		if err == nil {
			if p.Type == rest.ProblemTooManyStreams || p.Type == rest.ProblemTooManyConnections {
				c.Response().Header().Set("Retry-After", retryAfter)
			}
			err = c.Blob(p.Status, problemType, body)
		}
		if err != nil {
			log.Debug("an answer could not be written", "error", err)
		}
	}
}
