package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"serialhub/internal/events"
	"serialhub/internal/rest"
)

const (
	// stillTime is how often a stream of events tells that it is there still.
	stillTime = 15 * time.Second
	// takeTime is within which a reader has to take something of what is written to it.
	takeTime = 10 * time.Second
	// something is how many bytes of it.
	something = 8 << 10
	// pageSize is how many bytes are gathered before they are written, about; and pageEvents is how many events are looked at in one go.
	pageSize, pageEvents = 16 << 10, 16
)

// StreamEvents tells what happens, as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
func (h *handlers) StreamEvents(c echo.Context, params rest.StreamEventsParams) error {
	s := &eventStream{out: c.Response(), control: http.NewResponseController(c.Response())}
	if params.Link != nil {
		s.link, s.filtered = *params.Link, true
		if _, err := h.hub.Link(s.link); err != nil {
			return err
		}
	}
	ctx, done, err := streaming(c.Request().Context())
	if err != nil {
		return err
	}
	defer done()
	if isOver(ctx) { // what happens from now on may not be known to the program that takes over
		return newProblem(rest.ProblemStopping, "%s", context.Cause(ctx))
	}
	missed := false
	if last := params.LastEventID; last != nil && *last != "" {
		s.reader, missed = h.events.After(*last)
	} else {
		s.reader = h.events.Now()
	}
	header := c.Response().Header()
	header.Set(echo.HeaderContentType, "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // or nginx keeps events to itself
	c.Response().WriteHeader(http.StatusOK)
	defer atEnd(ctx, s.hurry)()
	if missed {
		s.known = s.reader.Position()
		s.page = appendMissed(s.page, s.known)
	} else {
		s.note("") // so that also a stream that breaks before something happens can be gone on with
	}
	s.run(ctx) //nolint:errcheck // the answer has begun: what is wrong cannot be told any more
	return nil
}

// eventStream writes events to a reader. It is for one goroutine.
type eventStream struct {
	reader   *events.Reader
	link     string // whose events are told, if filtered
	filtered bool
	out      *echo.Response
	control  *http.ResponseController
	room     [pageEvents]*events.Entry
	page     []byte        // to be written
	known    string        // up to where the other side knows that it has heard everything, if nothing has been told since
	told     *events.Entry // the last one; nil if none has been since that
}

// run tells events until ctx ends, or the reader is too slow.
func (s *eventStream) run(ctx context.Context) error {
	tick := time.NewTicker(stillTime)
	defer tick.Stop()
	for {
		more, err := s.fill()
		if err != nil {
			return s.leave(ctx, err)
		}
		if err := s.write(ctx); err != nil {
			return err
		}
		if more == nil && !isOver(ctx) {
			continue // there may be more already
		}
		select {
		case <-ctx.Done():
			s.fill() //nolint:errcheck // who has not had all of it is told from where to go on
			return s.leave(ctx, context.Cause(ctx))
		case <-more:
		case <-tick.C:
			s.note("")
		}
	}
}

// fill adds to the page what has happened. If there is nothing, more tells when there is.
func (s *eventStream) fill() (more <-chan struct{}, err error) {
	for len(s.page) < pageSize {
		var taken []*events.Entry
		if taken, more, err = s.reader.Take(s.room[:]); err != nil || more != nil {
			return more, err
		}
		for _, e := range taken {
			if !s.filtered || e.Link == s.link {
				s.page = append(s.page, e.Text(frame)...)
				s.told = e
			}
		}
	}
	return nil, nil
}

// note adds a comment, and up to where all has been heard, unless the other side knows: that is an id without an event.
func (s *eventStream) note(comment string) {
	s.page = fmt.Appendf(s.page, ":%s\n", comment)
	if s.told != nil {
		s.known, s.told = s.told.ID(), nil
	}
	if position := s.reader.Position(); position != s.known {
		s.page = fmt.Appendf(s.page, "id: %s\n", position)
		s.known = position
	}
	s.page = append(s.page, '\n')
}

// write writes the page.
func (s *eventStream) write(ctx context.Context) error {
	if len(s.page) == 0 {
		return nil
	}
	for piece := range slices.Chunk(s.page, something) {
		if err := s.patience(ctx); err != nil {
			return err
		}
		if _, err := s.out.Write(piece); err != nil {
			return err
		}
	}
	s.page = s.page[:0]
	return s.control.Flush()
}

// patience is how long the next write may take. Once ctx has ended, that is settled.
func (s *eventStream) patience(ctx context.Context) error {
	if isOver(ctx) {
		return nil
	}
	err := s.control.SetWriteDeadline(time.Now().Add(takeTime))
	if isOver(ctx) {
		s.hurry() // which may have been undone just now
	}
	return err
}

func isOver(ctx context.Context) bool { return ctx.Err() != nil }

// hurry leaves the reader little time for what is being written to it. It is safe to call from any goroutine.
func (s *eventStream) hurry() {
	s.control.SetWriteDeadline(time.Now().Add(partingTime)) //nolint:errcheck // it could be set before
}

// leave says why the stream ends: to people, since it is a comment, and to the command of this program.
func (s *eventStream) leave(ctx context.Context, why error) error {
	s.note(" " + why.Error())
	return s.write(ctx)
}
