package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"serialhub/internal/api"
	"serialhub/internal/events"
)

// pipes is a listener whose connections hold no bytes: what is written to one that does not read waits.
type pipes struct {
	come chan net.Conn
	done chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.come:
		return conn, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// inBubble has test done with a log, and connections that ask for its events, in a time of their own.
func inBubble(t *testing.T, test func(t *testing.T, log *events.Log, ask func() net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		listener := &pipes{make(chan net.Conn), make(chan struct{})}
		log := events.NewLog()
		hub := newHub()
		server := &http.Server{
			Handler:     api.Handler(api.Parts{Hub: hub, Reloader: hub, Events: log, Log: slog.New(slog.DiscardHandler)}),
			ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, // as the hub's
		}
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(listener) }()
		ask := func() net.Conn {
			here, there := net.Pipe()
			listener.come <- there
			fmt.Fprint(here, "GET /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
			return here
		}
		test(t, log, ask)
		server.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// TestSignsOfLife come every 15 s, for hours, with the place in the history if that has moved; and nothing of that is an event.
func TestSignsOfLife(t *testing.T) {
	inBubble(t, func(t *testing.T, log *events.Log, ask func() net.Conn) {
		conn := ask()
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		text, buffer := "", make([]byte, 1024)
		for ctx.Err() == nil {
			n, err := conn.Read(buffer)
			if err != nil && ctx.Err() == nil {
				t.Fatalf("the stream ends after %v: %v", time.Since(begun), err)
			}
			text += string(buffer[:n])
		}
		if signs := strings.Count(text, "\n:\n"); signs < 478 || signs > 482 || strings.Contains(text, "data") || strings.Count(text, "id: ") != 1 {
			t.Errorf("%d signs in two hours", signs)
		}
	})
}

// TestReaderThatTakesNothing is dropped after 10 s, and one that takes a little all the time is not.
func TestReaderThatTakesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, log *events.Log, ask func() net.Conn) {
		stuck, slow := ask(), ask()
		io.ReadFull(stuck, make([]byte, 200))
		slowEnded := make(chan error, 1)
		go func() {
			buffer := make([]byte, 8<<10)
			for {
				if _, err := io.ReadFull(slow, buffer); err != nil {
					slowEnded <- err
					return
				}
				<-time.After(4 * time.Second)
			}
		}()
		for range 1000 { // some hundred KiB
			log.Publish(events.Event{Type: events.Fault, Message: strings.Repeat("x", 300)})
		}
		<-time.After(11 * time.Second)
		synctest.Wait()
		if rest, err := io.ReadAll(stuck); err != nil || len(rest) > 64<<10 {
			t.Errorf("who takes nothing gets %d bytes later, %v", len(rest), err)
		}
		select {
		case err := <-slowEnded:
			t.Errorf("who takes a little is dropped: %v", err)
		case <-time.After(30 * time.Second):
		}
		slow.Close()
		<-slowEnded
	})
}
