package api

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"serialhub/internal/config"
	"serialhub/internal/rest"
)

// entrance lets clients in at one address. The handshake of TLS is not its own: http.Server does it for each connection by itself, so that nobody
// waits for another's.
type entrance struct {
	gatedListener
	front    *Front
	listener config.APIListener
}

func (e *entrance) Accept() (net.Conn, error) {
	for {
		accepted, err := e.gatedListener.Accept()
		if err != nil {
			return nil, err
		}
		conn, now := newConnection(accepted, e.front, e.listener), e.front.terms.Load()
		secure := now.tls != nil && e.listener.Network != "unix"
		switch {
		case !e.front.crowd.enter(conn):
			if more, told := e.front.crowded.turn(); told {
				e.front.log.Warn("too many connections to the API; one is refused", "from", accepted.RemoteAddr().String(), "more_like_it", more)
			}
			turnAway(accepted, secure)
		case secure:
			return tls.Server(conn, now.tls), nil
		default:
			return conn, nil
		}
	}
}

// turnAway says why, where that can be said without a handshake, and does not wait for it to be read.
func turnAway(conn net.Conn, secure bool) {
	defer conn.Close() //nolint:errcheck // it has carried nothing
	body, err := tooMany(rest.ProblemTooManyConnections, "connections").text()
	if secure || err != nil {
		return
	}
	var text bytes.Buffer
	answer := &http.Response{
		StatusCode: http.StatusServiceUnavailable, ProtoMajor: 1, ProtoMinor: 1, Close: true,
		Header: http.Header{"Content-Type": {problemType}, "Retry-After": {retryAfter}},
		Body:   io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
	if answer.Write(&text) == nil && conn.SetWriteDeadline(time.Now().Add(time.Millisecond)) == nil {
		conn.Write(text.Bytes()) //nolint:errcheck // the buffer of a new socket has room for it
	}
}

// seldom keeps what others can cause from filling the log: it can be told some times at once, and then once a second. It is safe for use by many
// goroutines.
type seldom struct {
	limit *rate.Limiter

	mu     sync.Mutex
	untold int
}

func newSeldom(atOnce int) *seldom {
	return &seldom{limit: rate.NewLimiter(rate.Every(time.Second), atOnce)}
}

// turn tells whether it is to be told now, and how often it has not been since the last time.
func (s *seldom) turn() (untold int, now bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.limit.Allow() {
		s.untold++
		return 0, false
	}
	untold, s.untold = s.untold, 0
	return untold, true
}

// serverLog is where http.Server writes.
type serverLog struct {
	log      *slog.Logger
	failures *seldom
}

// Write takes one line.
func (l serverLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	handshake, failed := strings.CutPrefix(text, "http: TLS handshake error from ")
	accept, crowded := strings.CutPrefix(text, "http: Accept error: ")
	switch {
	case failed:
		if more, told := l.failures.turn(); told {
			from, why, _ := strings.Cut(handshake, ": ")
			l.log.Warn("a TLS handshake with a client of the API has failed", "from", from, "error", why, "more_like_it", more)
		}
	case crowded:
		if more, told := l.failures.turn(); told {
			l.log.Warn("the API cannot take a connection, and tries again", "error", accept, "more_like_it", more)
		}
	default:
		l.log.Debug("a connection of the API", "says", text)
	}
	return len(line), nil
}
