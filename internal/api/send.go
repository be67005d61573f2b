package api

import (
	"errors"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"serialhub/internal/relay"
	"serialhub/internal/supervisor"
)

// maxSend is how much can be said in one call.
const maxSend = 64 << 10

type sentView struct {
	Sent int `json:"sent"`
}

// send says the body to the peer at an end.
func (h *handlers) send(c echo.Context) error {
	to, err := sideNamed(c, "to")
	if err != nil {
		return err
	}
	inject, err := flag(c, "inject", false)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(http.MaxBytesReader(c.Response(), c.Request().Body, maxSend))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return newProblem(http.StatusRequestEntityTooLarge, "a call says at most %d bytes", maxSend)
	}
	if err != nil {
		return newProblem(http.StatusBadRequest, "the body could not be read: %s", err)
	}
	if len(data) == 0 {
		return newProblem(http.StatusBadRequest, "there is nothing to say; the body is what the peer gets")
	}
	name := c.Param("name")
	err = h.hub.Say(c.Request().Context(), name, to, data, inject)
	switch {
	case errors.Is(err, supervisor.ErrNoLink):
		return err
	case errors.Is(err, relay.ErrTaken):
		return newProblem(http.StatusConflict, "%s, and would not know of it; inject=true says it anyway (serialhub send --inject)", h.whoHas(name, to.Other()))
	case err != nil:
		return newProblem(http.StatusConflict, "not said: %s", err)
	}
	return answer(c, sentView{len(data)})
}
