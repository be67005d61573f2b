package continuity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

// linkStatus is what the hub tells of a link.
type linkStatus struct {
	State    string               `json:"state"`
	Since    time.Time            `json:"since"`
	Sessions int                  `json:"sessions"`
	Resets   int                  `json:"resets"`
	Failures int                  `json:"failures"`
	Ends     map[string]endStatus `json:"ends"`
}

// endStatus is what the hub tells of an end of a link.
type endStatus struct {
	State          string    `json:"state"`
	Since          time.Time `json:"since"`
	Connections    int       `json:"connections"`
	ReceivedBytes  int64     `json:"received_bytes"`
	SentBytes      int64     `json:"sent_bytes"`
	DiscardedBytes int64     `json:"discarded_bytes"`
	Peer           *peer     `json:"peer"`
	Queued         []peer    `json:"queued"`
}

type peer struct {
	PID     int    `json:"pid"`
	Address string `json:"address"`
}

// hubStatus is what the hub tells of itself.
type hubStatus struct {
	PID       int       `json:"pid"`
	StartedAt time.Time `json:"started_at"`
}

// get asks the API for a path; an answer other than 200 is an error that quotes it.
func (s *service) get(path string, answer any) error { return s.ask(http.MethodGet, path, answer) }

// post tells the API to do something.
func (s *service) post(path string) {
	s.t.Helper()
	if err := s.ask(http.MethodPost, path, nil); err != nil {
		s.t.Fatal(err)
	}
}

func (s *service) ask(method, path string, answer any) error {
	body, err := s.fetch(method, path)
	if err != nil || answer == nil {
		return err
	}
	return json.Unmarshal(body, answer)
}

// fetch asks the API, and returns the whole answer.
func (s *service) fetch(method, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(s.t.Context(), method, "http://localhost"+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := (&http.Client{Transport: s.transport(), Timeout: patience}).Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, response.Status, body)
	}
	return body, nil
}

// transport connects to the API once for each request.
func (s *service) transport() *http.Transport {
	return &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", s.path("api"))
	}}
}

// link is what the hub tells of a link now, or as soon as it answers.
func (s *service) link(name string) linkStatus {
	s.t.Helper()
	return s.waitLink(name, "known", func(linkStatus) bool { return true })
}

// waitLink waits until a link is as it should be.
func (s *service) waitLink(name, what string, condition func(linkStatus) bool) linkStatus {
	s.t.Helper()
	var status linkStatus
	s.until("link "+name+" "+what, func() error {
		status = linkStatus{}
		if err := s.get("/links/"+name, &status); err != nil {
			return err
		}
		return unless(condition(status), "it is %+v", status)
	})
	return status
}

// waitState waits until a link is in a state.
func (s *service) waitState(name, state string) linkStatus {
	s.t.Helper()
	return s.waitLink(name, state, func(status linkStatus) bool { return status.State == state })
}

// waitQueue waits until so many peers wait at an end whose place is taken.
func (s *service) waitQueue(name, end string, want int) {
	s.t.Helper()
	s.waitLink(name, fmt.Sprintf("with a peer and %d waiting", want), func(status linkStatus) bool {
		return status.Ends[end].Peer != nil && len(status.Ends[end].Queued) == want
	})
}

// status is what the hub tells of itself, as soon as it answers.
func (s *service) status() hubStatus {
	s.t.Helper()
	var status hubStatus
	s.until("answering", func() error { return s.get("/status", &status) })
	return status
}

// kindOf sorts what came of a question: an answer, a connection that was refused, or one that ended without an answer.
func kindOf(err error) string {
	switch {
	case err == nil:
		return "answered"
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return "refused"
	default:
		return "hung up"
	}
}
