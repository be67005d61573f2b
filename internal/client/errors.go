package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"strings"
	"syscall"
	"unicode"

	"serialhub/internal/rest"
)

// Problem is an answer of the hub that refuses a call. Type says why, to a program; it is empty if no hub has answered.
type Problem rest.Problem

func (p *Problem) Error() string { return Printable(p.Detail) }

// NoHubError says that no hub is where one was looked for. One that is being started may be there soon.
type NoHubError struct {
	Place  Place
	Failed []error // one for each address
}

func (e *NoHubError) Error() string {
	reasons, closed := make([]string, len(e.Failed)), 0
	for i, err := range e.Failed {
		reasons[i] = innermost(err).Error() // without the address once more
		if !errors.Is(err, fs.ErrPermission) || e.Place.Addresses[i].Network != "unix" {
			continue
		}
		if why := denied(e.Place.Addresses[i].Address); why != "" {
			reasons[i] = why
			closed++
		}
	}
	because := strings.Join(reasons, ", ")
	if closed == len(reasons) {
		return fmt.Sprintf("you may not connect to %s (%s): %s", e.Place.list(), e.Place.By, because)
	}
	return fmt.Sprintf("no hub answers at %s (%s): %s; is it running? --api ADDRESS says where it is", e.Place.list(), e.Place.By, because)
}

// innermost is the cause of an error, without what others have said around it.
func innermost(err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}

// hasHungUp tells whether an error is that the other side has closed a connection.
func hasHungUp(err error) bool {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// LostError says that a hub was there and is gone, or has let a stream go. It may be back soon, unless the link was removed.
type LostError struct {
	Reason  string
	Removed bool // the link, so that there is no stream any more
}

func (e *LostError) Error() string { return Printable(e.Reason) }

func (p Place) list() string {
	names := make([]string, len(p.Addresses))
	for i, address := range p.Addresses {
		names[i] = address.String()
	}
	return strings.Join(names, ", ")
}

// problem reads an answer that is not the one that was asked for.
func (c *Client) problem(response *http.Response, body []byte) error {
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if response.StatusCode == http.StatusBadRequest && strings.TrimSpace(string(body)) == speaksTLS {
		return &TLSError{Reason: fmt.Sprintf("the hub at %s (%s) speaks TLS; write https://, as in --api https://%[1]s", c.place.list(), c.place.By)}
	}
	if kind != "application/problem+json" {
		return &Problem{Status: response.StatusCode, Detail: c.stranger("it says " + response.Status)}
	}
	p := &Problem{}
	if err := json.Unmarshal(body, p); err != nil || p.Detail == "" {
		p.Detail = "the hub refuses: " + response.Status
	}
	p.Status = response.StatusCode
	return p
}

// stranger is the message for an answer that no hub gives.
func (c *Client) stranger(says string) string {
	return fmt.Sprintf("what answers at %s (%s) is not a hub, or one of another version: %s", c.place.list(), c.place.By, says)
}

// Printable makes a text safe for a terminal. Names of programs and reasons come from elsewhere, and may hold what a terminal obeys.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
