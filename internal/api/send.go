package api

import (
	"errors"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"serialhub/internal/relay"
	"serialhub/internal/rest"
	"serialhub/internal/supervisor"
)

// SendToLink says the body to the peer at an end.
func (h *handlers) SendToLink(c echo.Context, name string, params rest.SendToLinkParams) error {
	to, err := sideNamed("to", params.To)
	if err != nil {
		return err
	}
	inject, err := flag("inject", params.Inject, false)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(c.Request().Body)
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return newProblem(rest.ProblemBodyTooLarge, "a call says at most %d bytes", maxBody)
	}
	if err != nil {
		return newProblem(rest.ProblemBadBody, "the body could not be read: %s", err)
	}
	if len(data) == 0 {
		return newProblem(rest.ProblemBadBody, "there is nothing to say; the body is what the peer gets")
	}
	err = h.hub.Say(c.Request().Context(), name, to, data, inject)
	switch {
	case errors.Is(err, supervisor.ErrNoLink):
		return err
	case errors.Is(err, relay.ErrTaken):
		return newProblem(rest.ProblemOtherPeer, "%s, and would not know of it; inject=true says it anyway (serialhub send --inject)", h.whoHas(name, to.Other()))
	case err != nil:
		return newProblem(rest.ProblemNotSent, "not said: %s", err)
	}
	return answer(c, rest.Sent{Sent: len(data)})
}
