package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/dustin/go-humanize"
	"github.com/labstack/echo/v4"

	"serialhub/internal/relay"
	"serialhub/internal/render"
	"serialhub/internal/rest"
	"serialhub/internal/supervisor"
	"serialhub/internal/watch"
)

// tapQuery is what a caller wants to see of a link.
type tapQuery struct {
	format  render.Format
	color   bool
	sides   []relay.Side
	last    int // bytes of the scrollback
	from    *watch.Position
	follows bool
}

func parseTap(params rest.TapLinkParams) (q tapQuery, err error) {
	q = tapQuery{format: render.Hex, sides: []relay.Side{relay.A, relay.B}, follows: true}
	if params.Format != nil {
		if q.format, err = render.ParseFormat(string(*params.Format)); err != nil {
			return q, newProblem(rest.ProblemBadParameter, "%s", err)
		}
	}
	if params.End != nil {
		side, err := sideNamed("end", *params.End)
		if err != nil {
			return q, err
		}
		q.sides = []relay.Side{side}
	}
	if params.N != nil {
		n, err := humanize.ParseBytes(*params.N)
		if err != nil {
			return q, newProblem(rest.ProblemBadParameter, "%q is not a number of bytes; write it as in n=4KiB", *params.N)
		}
		q.last = int(min(n, watch.MaxScrollback))
	}
	whole := false
	if whole, err = flag("since_start", params.SinceStart, false); err != nil {
		return q, err
	}
	if q.follows, err = flag("follow", params.Follow, true); err != nil {
		return q, err
	}
	if q.color, err = flag("color", params.Color, false); err != nil {
		return q, err
	}
	if whole || !q.follows && params.N == nil {
		q.last = watch.MaxScrollback
	}
	if params.From != nil {
		q.from, err = parsePosition(*params.From)
	}
	return q, err
}

func parsePosition(text string) (*watch.Position, error) {
	a, b, _ := strings.Cut(text, ",")
	fromA, errA := strconv.ParseUint(a, 10, 64)
	fromB, errB := strconv.ParseUint(b, 10, 64)
	if errA != nil || errB != nil {
		return nil, newProblem(rest.ProblemBadParameter, "%q is not a position; it is what a tap was told last, as in from=120,4096", text)
	}
	return &watch.Position{relay.A: fromA, relay.B: fromB}, nil
}

// flag reads a parameter that is true or false; its name alone is true.
func flag(name string, given *string, usual bool) (bool, error) {
	if given == nil {
		return usual, nil
	}
	switch *given {
	case "", "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	default:
		return false, newProblem(rest.ProblemBadParameter, "%s is true or false, not %q", name, *given)
	}
}

// TapLink shows what crosses a link.
func (h *handlers) TapLink(c echo.Context, name string, params rest.TapLinkParams) error {
	query, err := parseTap(params)
	if err != nil {
		return err
	}
	if link, err := h.hub.Link(name); err == nil && !query.follows && link.Scrollback == 0 {
		return newProblem(rest.ProblemNoScrollback, "link %s keeps nothing to show; with scrollback: 64KiB in its config it does", link.Name)
	}
	tap, err := h.hub.Tap(name, func(tape *watch.Tape) *watch.Reader {
		r := query.begin(tape)
		r.TakeMore() // each write to the caller is dear
		if !query.follows {
			r.StopHere()
		}
		return r
	})
	if err != nil {
		return err
	}
	defer tap.Close()
	renderer := render.New(query.format, render.Options{Link: name, Color: query.color, Timestamps: true})
	show := &show{query: query, tap: tap, renderer: renderer}
	if isWebSocket(c.Request()) {
		return show.onWebSocket(c)
	}
	return show.onStream(c)
}

// begin begins to read where the caller wants.
func (q *tapQuery) begin(tape *watch.Tape) *watch.Reader {
	if q.from != nil {
		return tape.From(*q.from)
	}
	return tape.Last(q.last)
}

// show writes what is read of a link.
type show struct {
	query    tapQuery
	tap      *supervisor.Tap
	renderer render.Renderer
}

// outlet is where a show goes.
type outlet interface {
	io.Writer
	missed(side relay.Side, n uint64) error // tells what the format has no place for
}

// run shows the link until ctx ends, or there is nothing more to show, or it cannot be written.
func (s *show) run(ctx context.Context, out outlet) error {
	page := s.renderer.Header(nil)
	for {
		if len(page) > 0 {
			if _, err := out.Write(page); err != nil {
				return err
			}
		}
		page = page[:0]
		events, err := s.next(ctx)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			page = s.renderer.Flush(page)
			continue
		case err != nil:
			if page = s.renderer.Flush(page); len(page) > 0 {
				_, werr := out.Write(page)
				err = errors.Join(err, werr)
			}
			return err
		}
		for _, e := range events {
			if !slices.Contains(s.query.sides, e.From) {
				continue
			}
			if e.Missed > 0 && s.query.format == render.Raw {
				if len(page) > 0 {
					if _, err := out.Write(page); err != nil {
						return err
					}
					page = page[:0]
				}
				if err := out.missed(e.From, e.Missed); err != nil {
					return err
				}
			}
			page = s.renderer.Append(page, e)
		}
	}
}

// next returns what has crossed the link, or context.DeadlineExceeded when what the renderer holds back has waited long enough.
func (s *show) next(ctx context.Context) ([]watch.Event, error) {
	if s.renderer.Held() == [2]int{} {
		return s.tap.Next(ctx)
	}
	brief, cancel := context.WithTimeout(ctx, s.query.format.Idle())
	defer cancel()
	events, err := s.tap.Next(brief)
	if ctx.Err() != nil {
		return events, ctx.Err()
	}
	return events, err
}

// onStream answers with a stream, as curl shows it.
func (s *show) onStream(c echo.Context) error {
	ctx, done, err := streaming(c.Request().Context())
	if err != nil {
		return err
	}
	defer done()
	out := &streamOutlet{c.Response(), http.NewResponseController(c.Response())}
	if err := out.SetWriteDeadline(time.Time{}); err != nil { // a watcher may be as slow as it likes
		return err
	}
	c.Response().Header().Set(echo.HeaderContentType, s.query.format.ContentType())
	c.Response().Header().Set("Cache-Control", "no-store")
	c.Response().WriteHeader(http.StatusOK)
	defer atEnd(ctx, func() {
		out.SetWriteDeadline(time.Now().Add(partingTime)) //nolint:errcheck // it could be set before
	})()
	out.Flush()     //nolint:errcheck // the next write tells
	s.run(ctx, out) //nolint:errcheck // the answer has begun: what is wrong cannot be told any more
	return nil
}

type streamOutlet struct {
	io.Writer
	*http.ResponseController
}

func (o *streamOutlet) Write(data []byte) (int, error) {
	n, err := o.Writer.Write(data)
	if err != nil {
		return n, err
	}
	return n, o.Flush()
}

func (o *streamOutlet) missed(relay.Side, uint64) error { return nil }

// onWebSocket answers with binary messages, and tells of missed bytes by text messages.
func (s *show) onWebSocket(c echo.Context) error {
	ctx, done, err := streaming(c.Request().Context()) // before the caller can know of it
	if err != nil {
		return err
	}
	defer done()
	conn, err := accept(c)
	if err != nil {
		return nil // the caller has been told
	}
	defer conn.CloseNow()          //nolint:errcheck // it is closed already, unless something was wrong with it
	longer, cancel := outlast(ctx) // the connection is cut when a context ends with which it is read or written
	defer cancel()
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	gone := make(chan struct{})
	defer func() {
		conn.CloseNow() //nolint:errcheck // see above
		<-gone
	}()
	go func() { // Conn.CloseRead would wait for itself, for 15 s, when the watcher says something
		defer close(gone)
		_, _, err := conn.Reader(longer)
		if err == nil {
			err = errWatcherSpeaks
		}
		leave(err)
	}()
	err = s.run(ctx, &socketOutlet{longer, conn})
	switch cause := context.Cause(ctx); {
	case errors.Is(err, io.EOF) && !s.query.follows:
		closeSocket(conn, websocket.StatusNormalClosure, "")
	case errors.Is(err, io.EOF):
		closeSocket(conn, websocket.StatusGoingAway, errLinkGone.Error())
	case errors.Is(cause, errHubStops), errors.Is(cause, errHubReplaced):
		tellPosition(longer, conn, s.tap.Position())
		closeSocket(conn, websocket.StatusGoingAway, cause.Error())
	case errors.Is(cause, errNoMore):
		closeSocket(conn, websocket.StatusGoingAway, cause.Error())
	case errors.Is(cause, errWatcherSpeaks):
		closeSocket(conn, websocket.StatusPolicyViolation, cause.Error())
	}
	return nil
}

// positionView tells up to where a tap has shown the link, so that the caller can go on from there at the next hub.
type positionView struct {
	Position map[string]uint64 `json:"position"`
}

// tellPosition tells the position. It does not matter if that fails: the caller knows that he does not know, then.
func tellPosition(ctx context.Context, conn *websocket.Conn, p watch.Position) {
	text, err := json.Marshal(positionView{map[string]uint64{relay.A.String(): p[relay.A], relay.B.String(): p[relay.B]}})
	if err == nil {
		conn.Write(ctx, websocket.MessageText, text) //nolint:errcheck // see above
	}
}

type socketOutlet struct {
	ctx  context.Context // of the writes, since io.Writer takes none
	conn *websocket.Conn
}

func (o *socketOutlet) Write(data []byte) (int, error) {
	return len(data), o.conn.Write(o.ctx, websocket.MessageBinary, data)
}

// missedView tells of bytes that a slow watcher has missed.
type missedView struct {
	Missed struct {
		End   string `json:"end"`
		Bytes uint64 `json:"bytes"`
	} `json:"missed"`
}

func (o *socketOutlet) missed(side relay.Side, n uint64) error {
	var view missedView
	view.Missed.End, view.Missed.Bytes = side.String(), n
	text, err := json.Marshal(view)
	if err != nil {
		return err
	}
	return o.conn.Write(o.ctx, websocket.MessageText, text)
}
