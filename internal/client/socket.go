package client

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/coder/websocket"
)

// linkRemoved is the reason that the hub gives when it closes a stream because there is no such link any more.
const linkRemoved = "the link was removed"

// socket makes a call that becomes a WebSocket.
func (c *Client) socket(ctx context.Context, request *http.Request) (*websocket.Conn, error) {
	handshake := *c.http
	handshake.Timeout = answerTime
	conn, response, err := websocket.Dial(ctx, request.URL.String(), &websocket.DialOptions{HTTPClient: &handshake, HTTPHeader: c.header()}) //nolint:bodyclose // never needed, says Dial
	if err == nil {
		conn.SetReadLimit(-1) // messages are read in pieces
		return conn, nil
	}
	if response != nil && response.StatusCode != http.StatusSwitchingProtocols && response.Body != nil {
		text, _ := io.ReadAll(response.Body)
		return nil, c.explain(ctx, request, response, text)
	}
	return nil, c.failure(ctx, err)
}

// ended tells what the end of a WebSocket means: nil if its stream is over.
func (c *Client) ended(ctx context.Context, err error) error {
	var closed websocket.CloseError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &closed):
	case hasHungUp(err):
		return &LostError{Reason: "the hub at " + c.place.list() + " has gone (the connection was closed without a word)"}
	default:
		return &LostError{Reason: "the connection to the hub at " + c.place.list() + " broke: " + innermost(err).Error()}
	}
	switch {
	case closed.Code == websocket.StatusNormalClosure:
		return nil
	case closed.Reason == "":
		return &LostError{Reason: "the hub has closed the connection: " + closed.Code.String()}
	default:
		return &LostError{Reason: closed.Reason, Removed: closed.Reason == linkRemoved}
	}
}
