package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"serialhub/internal/access"
	"serialhub/internal/rest"
)

// door lets those in who may come in. What came by no front, as in tests, is let in.
type door struct {
	log      *slog.Logger
	refusals *seldom
}

// permitKey is under which a request has a permit.
type permitKey struct{}

// permit tells whether the caller of a request would be let in again, by the terms of now. A stream asks that when they have changed.
type permit func() bool

// callerKey is under which a request has its caller.
type callerKey struct{}

// callerOf is who makes a request; false, if it came by no front.
func callerOf(ctx context.Context) (access.Caller, bool) {
	caller, known := ctx.Value(callerKey{}).(access.Caller)
	return caller, known
}

// authenticate lets nobody ask for anything, be it there or not, who has not said who he is.
func (d *door) authenticate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		conn, known := r.Context().Value(connKey{}).(*connection)
		if !known {
			return next(c)
		}
		caller, err := conn.admit(r)
		if err != nil {
			if unknown := (*challenge)(nil); !errors.As(err, &unknown) {
				hangUp(c) // it is the connection that will not do: no other request on it would
			}
			return d.refuse(c, caller, err)
		}
		conn.front.crowd.busy(conn)
		again := func() bool {
			now, err := conn.admit(r)
			return err == nil && now.Role >= caller.Role
		}
		ctx := context.WithValue(r.Context(), callerKey{}, caller)
		c.SetRequest(r.WithContext(context.WithValue(ctx, permitKey{}, permit(again))))
		return next(c)
	}
}

// authorize lets those make a call whose role is good for it.
func (d *door) authorize(call rest.Operation, next echo.HandlerFunc) echo.HandlerFunc {
	role := roleFor(call)
	return func(c echo.Context) error {
		if caller, known := callerOf(c.Request().Context()); known && caller.Role < role {
			p := newProblem(rest.ProblemForbidden, "this takes a token with the role %s, and that of %s has the role %s", role, caller.Who, caller.Role)
			return d.refuse(c, caller, &challenge{p, "insufficient_scope"})
		}
		return next(c)
	}
}

// roleFor is the role that a call takes, as its document says.
func roleFor(call rest.Operation) access.Role {
	if call.Role == access.Read.String() {
		return access.Read
	}
	return access.Admin
}

// challenge is the problem of a caller who has to show a token, or another one.
type challenge struct {
	*problem
	code string // of RFC 6750; "" if he has shown none
}

func (e *challenge) Unwrap() error { return e.problem }

func unauthorized(code, detail string) error {
	return &challenge{newProblem(rest.ProblemUnauthorized, "%s", detail), code}
}

// refuse answers who may not do what he asks for.
func (d *door) refuse(c echo.Context, caller access.Caller, err error) error {
	if more, told := d.refusals.turn(); told {
		d.log.Warn("a caller of the API is refused", "who", caller.Who, "from", caller.From,
			"method", c.Request().Method, "path", c.Request().URL.Path, "error", err, "more_like_it", more)
	}
	unread(c)
	if unknown := (*challenge)(nil); errors.As(err, &unknown) {
		text := `Bearer realm="serialhub"`
		if unknown.code != "" {
			text += fmt.Sprintf(`, error="%s"`, unknown.code)
		}
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, text)
	}
	return err
}

// unread gives up the connection of a request whose body nobody is going to read.
func unread(c echo.Context) {
	if c.Request().Body != http.NoBody {
		hangUp(c)
	}
}

// hangUp ends the connection with the answer.
func hangUp(c echo.Context) { c.Response().Header().Set("Connection", "close") }
