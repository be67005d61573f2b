package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"strings"
	"time"

	"serialhub/internal/rest"
)

const (
	// silentTime is after how long a stream in which nothing comes is taken to be lost; the hub gives a sign of life every 15 s.
	silentTime = 50 * time.Second
	// longestLine is how long a line of a stream may be, in bytes. What a reload has changed names all links.
	longestLine = 8 << 20
)

// Event is something that has happened in the hub.
type Event struct {
	rest.Event
	JSON []byte // all of it, as it has come
}

// Events is a stream of what happens. It is for one goroutine.
type Events struct {
	client *Client
	ctx    context.Context // of the stream, which a reader does not have
	cancel context.CancelCauseFunc
	silent *time.Timer
	body   io.ReadCloser
	lines  *bufio.Scanner
	last   string
	said   string // the newest comment, if no event has come after it
}

// errSilent says that nothing has come for too long.
var errSilent = errors.New("nothing has come for too long")

// Events begins to hear of what happens: all that does after it has returned is heard; or, if last is not "", all that has happened after the event of
// that ID. With a link that is not "", only what happens to that.
func (c *Client) Events(ctx context.Context, link, last string) (*Events, error) {
	streaming, cancel := context.WithCancelCause(ctx)
	answer := time.AfterFunc(answerTime, func() { cancel(context.DeadlineExceeded) })
	defer answer.Stop()
	var params rest.StreamEventsParams
	if link != "" {
		params.Link = &link
	}
	if last != "" {
		params.LastEventID = &last
	}
	request, err := rest.NewStreamEventsRequest(streaming, server, params)
	if err != nil {
		cancel(nil)
		return nil, fmt.Errorf("asking the hub: %w", err)
	}
	maps.Copy(request.Header, c.header())
	request.Header.Set("Accept", "text/event-stream")
	response, err := c.http.Do(request)
	if err != nil {
		err = c.failure(ctx, err)
		cancel(nil)
		return nil, err
	}
	if err := c.checkStream(ctx, request, response); err != nil {
		response.Body.Close() //nolint:errcheck // all of it that matters has been read
		cancel(nil)
		return nil, err
	}
	e := &Events{client: c, ctx: ctx, cancel: cancel, body: response.Body, lines: bufio.NewScanner(response.Body), last: last}
	e.lines.Buffer(nil, longestLine)
	e.silent = time.AfterFunc(c.silence, func() { cancel(errSilent) })
	return e, nil
}

// checkStream tells why an answer is no stream of events.
func (c *Client) checkStream(ctx context.Context, request *http.Request, response *http.Response) error {
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if response.StatusCode == http.StatusOK && kind == "text/event-stream" {
		return nil
	}
	text, _ := io.ReadAll(io.LimitReader(response.Body, longestAnswer))
	return c.explain(ctx, request, response, text)
}

// Close ends the stream.
func (e *Events) Close() {
	e.silent.Stop()
	e.cancel(nil)
	e.body.Close() //nolint:errcheck // nobody waits for a reader to say goodbye
}

// LastID is up to where the stream has been read, for another one to go on there; "" if the hub has not said it.
func (e *Events) LastID() string { return e.last }

// Next waits for the next event. When the stream is over it returns a *LostError, or the error of the context.
func (e *Events) Next() (*Event, error) {
	var data []byte
	last := e.last
	for e.lines.Scan() {
		e.silent.Reset(e.client.silence)
		line := e.lines.Text()
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "" && data == nil:
			e.last = last
		case line == "":
			e.last, e.said = last, ""
			event := &Event{JSON: data[:len(data)-1]}
			if err := json.Unmarshal(data, &event.Event); err != nil {
				return nil, fmt.Errorf("the hub tells of an event what this program does not understand: %w", err)
			}
			return event, nil
		case field == "":
			e.said = value
		case field == "data":
			data = append(append(data, value...), '\n')
		case field == "id":
			last = value
		}
	}
	return nil, e.over()
}

// over tells why the stream is.
func (e *Events) over() error {
	place, err := e.client.place.list(), e.lines.Err()
	switch {
	case e.ctx.Err() != nil:
		return e.ctx.Err()
	case errors.Is(err, bufio.ErrTooLong):
		return &Problem{Status: http.StatusOK, Detail: e.client.stranger("it sends lines without end")}
	case errors.Is(err, errSilent), errors.Is(err, context.Canceled): // the latter is what has come of errSilent
		return &LostError{Reason: fmt.Sprintf("the hub at %s has given no sign of life for %v", place, e.client.silence)}
	case e.said != "" && (err == nil || hasHungUp(err)):
		return &LostError{Reason: e.said}
	case err == nil, hasHungUp(err):
		return &LostError{Reason: "the hub at " + place + " has gone (the connection was closed without a word)"}
	default:
		return &LostError{Reason: "the connection to the hub at " + place + " broke: " + innermost(err).Error()}
	}
}
