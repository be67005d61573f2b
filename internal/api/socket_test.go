package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"serialhub/internal/api"
	"serialhub/internal/config"
	"serialhub/internal/relay"
	"serialhub/internal/supervisor"
	"serialhub/internal/testenv"
)

// patience is how long a test waits for what should happen soon, on a machine that may be busy.
const patience = 20 * time.Second

// running is a hub with a link, x, and its API.
type running struct {
	t     *testing.T
	dir   string
	hub   *supervisor.Supervisor
	front *api.Front
	stop  func() // ends the API, and waits for that
	http  *http.Client
}

func run(t *testing.T) *running {
	t.Helper()
	r := &running{t: t, dir: testenv.Dir(t)}
	path := filepath.Join(r.dir, "links.yaml")
	text := fmt.Sprintf("api: {listen: unix:%[1]s/api}\nlinks:\n  - {name: x, a: %[1]s/a, b: %[1]s/b, scrollback: 64KiB}\n", r.dir)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if r.hub, err = supervisor.New(c.Links, log, nil); err != nil {
		t.Fatal(err)
	}
	if r.front, err = api.NewFront(handler(t, api.Parts{Hub: r.hub, Reloader: newHub(), Events: r.hub.Events(), Log: log}), c.API, nil, log); err != nil {
		t.Fatal(err)
	}
	hubEnded, frontEnded := make(chan error, 1), make(chan struct{})
	go func() { hubEnded <- r.hub.Run() }()
	go func() {
		defer close(frontEnded)
		r.front.Run()
	}()
	r.stop = func() {
		r.front.Stop()
		<-frontEnded
	}
	t.Cleanup(func() {
		r.stop()
		r.hub.Stop()
		if err := <-hubEnded; err != nil {
			t.Error(err)
		}
	})
	r.http = &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", filepath.Join(r.dir, "api"))
	}}}
	t.Cleanup(r.http.CloseIdleConnections)
	testenv.Eventually(t, patience, "the link is open", func() error {
		if names := r.hub.NotOpen(); len(names) > 0 {
			return fmt.Errorf("%v", names)
		}
		return nil
	})
	return r
}

// socket makes a call that is a WebSocket.
func (r *running) socket(call string) *websocket.Conn {
	r.t.Helper()
	conn, _, err := websocket.Dial(r.t.Context(), "http://localhost/links/x/"+call, &websocket.DialOptions{HTTPClient: r.http})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.CloseNow() })
	return conn
}

// TestSocketsHearTheReason tells whoever watches or is attached why it is over, and a watcher before that up to where it has seen the link.
func TestSocketsHearTheReason(t *testing.T) {
	ends := map[string]func(r *running){
		"the hub stops":             func(r *running) { r.stop() },
		"the hub is being upgraded": func(r *running) { r.front.Pause()() },
	}
	for reason, end := range ends {
		for _, call := range []string{"tap", "tap?format=raw", "attach?end=a"} {
			t.Run(reason+" "+call, func(t *testing.T) {
				r := run(t)
				conn := r.socket(call)
				heard := make(chan error, 1)
				var before []string
				go func() {
					for {
						kind, text, err := conn.Read(t.Context())
						if err != nil {
							heard <- err
							return
						}
						if kind == websocket.MessageText {
							before = append(before, string(text))
						}
					}
				}()
				end(r)
				var closed websocket.CloseError
				if err := <-heard; !errors.As(err, &closed) || closed.Code != websocket.StatusGoingAway || closed.Reason != reason {
					t.Errorf("it hears %v", err)
				}
				if position := `{"position":{"a":0,"b":0}}`; slices.Contains(before, position) != strings.HasPrefix(call, "tap") {
					t.Errorf("before that, it hears %q", before)
				}
			})
		}
	}
}

// TestAttachedIsGone frees the end of somebody who goes while the peer at the other one does not read.
func TestAttachedIsGone(t *testing.T) {
	r := run(t)
	other, err := net.Dial("unix", filepath.Join(r.dir, "b"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	conn := r.socket("attach?end=a")
	full, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	for err = nil; err == nil; { // the end of full breaks the connection
		err = conn.Write(full, websocket.MessageBinary, make([]byte, 32<<10))
	}
	testenv.Eventually(t, patience, "the end is free", func() error {
		link, err := r.hub.Link("x")
		if err == nil && link.Ends[0].Peer != nil {
			err = errors.New("it has a peer still")
		}
		return err
	})
}

// TestAttachedHearsWhy closes the peer of somebody who is attached, in each way that there is.
func TestAttachedHearsWhy(t *testing.T) {
	tests := map[string]func(r *running) error{
		"the end was reset": func(r *running) error {
			_, err := r.hub.Reset(r.t.Context(), "x", relay.A)
			return err
		},
		"a newer peer has taken the end": func(r *running) error {
			r.socket("attach?end=a&replace=true")
			return nil
		},
		"the link is closed": func(r *running) error {
			_, err := r.hub.StopLink(r.t.Context(), "x")
			return err
		},
	}
	for why, act := range tests {
		t.Run(why, func(t *testing.T) {
			r := run(t)
			conn := r.socket("attach?end=a")
			heard := make(chan error, 1)
			go func() {
				_, _, err := conn.Read(t.Context())
				heard <- err
			}()
			if err := act(r); err != nil {
				t.Fatal(err)
			}
			var closed websocket.CloseError
			if err := <-heard; !errors.As(err, &closed) || closed.Reason != "the hub has closed the connection: "+why {
				t.Errorf("it hears %v", err)
			}
		})
	}
}

// TestTapGoesOn has a tap go on where an earlier one has ended.
func TestTapGoesOn(t *testing.T) {
	r := run(t)
	peer, err := net.Dial("unix", filepath.Join(r.dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	if _, err := io.WriteString(peer, "0123456789"); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, patience, "it has crossed the link", func() error {
		if link, err := r.hub.Link("x"); err != nil || link.Ends[relay.A].Received != 10 {
			return fmt.Errorf("%+v, %w", link, err)
		}
		return nil
	})
	conn := r.socket("tap?format=raw&from=4,0")
	if _, text, err := conn.Read(t.Context()); err != nil || string(text) != "456789" {
		t.Errorf("from 4 on it gets %q, %v", text, err)
	}
}

// TestTapAsAStream answers with what was kept, in each format.
func TestTapAsAStream(t *testing.T) {
	r := run(t)
	for _, format := range []string{"hex", "raw", "text", "json", "pcapng"} {
		response, err := r.http.Get("http://localhost/links/x/tap?follow=false&format=" + format)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("%s: %s, %v", format, response.Status, err)
		}
	}
}

// TestWatcherSpeaks closes the WebSocket of a watcher that says something, at once.
func TestWatcherSpeaks(t *testing.T) {
	r := run(t)
	conn := r.socket("tap")
	if err := conn.Write(t.Context(), websocket.MessageBinary, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	_, _, err := conn.Read(t.Context())
	if closed := (websocket.CloseError{}); !errors.As(err, &closed) || closed.Code != websocket.StatusPolicyViolation {
		t.Errorf("it hears %v", err)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.stop()
	}()
	select {
	case <-stopped:
	case <-time.After(5 * time.Second):
		t.Error("the API waits for the watcher")
		<-stopped
	}
}
