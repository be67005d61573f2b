package api

import (
	"net/http"
	"strings"

	"github.com/coder/websocket"
	"github.com/labstack/echo/v4"

	"serialhub/internal/rest"
)

// isWebSocket tells whether the request asks for a WebSocket (RFC 6455), in a way that can be granted.
func isWebSocket(r *http.Request) bool {
	if r.Header.Get("Sec-WebSocket-Version") != "13" || len(r.Header.Get("Sec-WebSocket-Key")) != 24 {
		return false
	}
	for token := range strings.SplitSeq(r.Header.Get("Connection"), ",") {
		if strings.EqualFold(strings.TrimSpace(token), "upgrade") {
			return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
		}
	}
	return false
}

// accept makes a WebSocket of the request. The caller closes it. With an error, the client has got an answer.
func accept(c echo.Context) (*websocket.Conn, error) {
	conn, err := websocket.Accept(c.Response(), c.Request(), &websocket.AcceptOptions{
		InsecureSkipVerify: true, // the guard has looked at where the request comes from
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err == nil {
		conn.SetReadLimit(maxMessage)
	}
	return conn, err
}

// maxMessage is how long a message from a client may be.
const maxMessage = 1 << 20

// closeSocket says why the stream is over. What cannot be told is not worth an error.
func closeSocket(conn *websocket.Conn, code websocket.StatusCode, reason string) {
	conn.Close(code, reason) //nolint:errcheck // the client has gone, then
}

// needsWebSocket refuses a request that does not ask for one.
func needsWebSocket(c echo.Context) error {
	c.Response().Header().Set("Connection", "Upgrade")
	c.Response().Header().Set("Upgrade", "websocket")
	return newProblem(rest.ProblemNotAWebSocket, "this call is a WebSocket; serialhub attach makes it, or any WebSocket client")
}
