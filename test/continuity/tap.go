package continuity

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// ending is how a stream of the API has ended.
type ending struct {
	data   []byte // all that came
	code   websocket.StatusCode
	reason string
	err    error // nil if it has ended as it should
	at     time.Time
}

// tap reads a stream of the API until it ends.
func (s *service) tap(path string) <-chan ending {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	response, err := s.transport().RoundTrip(request)
	if err != nil {
		s.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %s", path, response.Status)
	}
	ended := make(chan ending, 1)
	go func() {
		defer response.Body.Close()
		var e ending
		e.data, e.err = io.ReadAll(response.Body)
		e.at = time.Now()
		ended <- e
	}()
	return ended
}

// socket opens a WebSocket of the API; it is closed at the test's end.
func (s *service) socket(path string) *websocket.Conn {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws://localhost"+path, &websocket.DialOptions{HTTPClient: &http.Client{Transport: s.transport()}})
	if err != nil {
		s.t.Fatal(err)
	}
	conn.SetReadLimit(-1)
	s.t.Cleanup(func() { conn.CloseNow() })
	return conn
}

// readSocket reads a WebSocket until it ends.
func readSocket(conn *websocket.Conn) <-chan ending {
	ended := make(chan ending, 1)
	go func() {
		var e ending
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for e.err == nil {
			var more []byte
			var kind websocket.MessageType
			if kind, more, e.err = conn.Read(ctx); kind == websocket.MessageBinary {
				e.data = append(e.data, more...)
			}
		}
		e.at = time.Now()
		if closed := (websocket.CloseError{}); errors.As(e.err, &closed) {
			e.code, e.reason, e.err = closed.Code, closed.Reason, nil
		}
		ended <- e
	}()
	return ended
}

// neverRead asks the API for a stream, and reads nothing of it.
func (s *service) neverRead(path string) net.Conn {
	s.t.Helper()
	conn := s.dial("api")
	say(s.t, conn, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
	return conn
}
