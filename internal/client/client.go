// Package client calls the API of a running hub.
package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"serialhub/internal/rest"
)

const (
	// dialTime is within which an address must take a connection.
	dialTime = 5 * time.Second
	// answerTime is within which a hub must answer a call. It may wait some seconds itself for a peer that does not read.
	answerTime = 15 * time.Second
	// longestAnswer is far above 10,000 links, in bytes.
	longestAnswer = 256 << 20
)

// Place is where a hub is looked for. The first of the addresses that takes a connection is the hub's.
type Place struct {
	Addresses []Address
	By        string      // who says so, for messages: a flag, a variable, a file
	TLS       *tls.Config // for the addresses where it is spoken; nil trusts whom the system trusts
	TokenBy   string      // where the token is from, or should be, for messages; "" if nothing says so
}

// Client calls the API of the hub at a place. It is safe for use by many goroutines.
//
// Its methods return a *Problem if the hub refuses, a *NoHubError if none is there, a *LostError if one does not answer as it should, a *TLSError if
// the two cannot agree on TLS, and the error of the context if that has ended.
type Client struct {
	place Place
	token string
	http  *http.Client
	calls rest.Client

	silence time.Duration // see silentTime
}

// New makes a client, and connects to nothing yet. A token, if it is not "", is shown with each call.
func New(place Place, token string) *Client {
	c := &Client{place: place, token: token, silence: silentTime}
	// Proxies of the environment are for the web; no hub is behind them.
	c.http = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := c.dial(ctx)
			if err != nil {
				return nil, err
			}
			return newAsking(conn), nil
		},
		IdleConnTimeout:     time.Minute,
		MaxIdleConnsPerHost: 4,
	}}
	c.calls = rest.Client{Server: server, Do: c.call}
	return c
}

// Close lets the connections go that are kept for the next call.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// dial connects to the first address of the place that takes a connection, and with which it can agree on TLS if that is spoken there.
func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTime}
	var failed []error
	var there error // why one that is there is of no use
	for _, address := range c.place.Addresses {
		conn, err := dialer.DialContext(ctx, address.Network, address.Address)
		if err == nil && address.TLS {
			conn, err = c.handshake(ctx, conn, address)
			there = cmp.Or(there, err)
		}
		if err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		failed = append(failed, err)
	}
	if there != nil {
		return nil, there
	}
	return nil, &NoHubError{Place: c.place, Failed: failed}
}

// server is what every call is sent to, whatever the way there: a host that every hub accepts, see api's guard.
const server = "http://localhost"

func (c *Client) header() http.Header {
	header := http.Header{}
	if c.token != "" {
		header.Set("Authorization", "Bearer "+c.token)
	}
	return header
}

// call makes a call and reads its answer, which is JSON, into answer.
func (c *Client) call(request *http.Request, answer any) error {
	ctx := request.Context()
	limited, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	request = request.WithContext(limited)
	request.Header = c.header()
	if request.Body != nil {
		request.Header.Set("Content-Type", "application/octet-stream")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return c.failure(ctx, err)
	}
	defer response.Body.Close() //nolint:errcheck // all of it that matters has been read
	text, err := io.ReadAll(io.LimitReader(response.Body, longestAnswer))
	if err != nil {
		return c.failure(ctx, err)
	}
	if response.StatusCode != http.StatusOK {
		return c.explain(ctx, request, response, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return &Problem{Status: response.StatusCode, Detail: c.stranger("what it says cannot be read: " + err.Error())}
	}
	return nil
}

// failure tells what is behind an error of a call that has got no answer.
func (c *Client) failure(ctx context.Context, err error) error {
	var nobody *NoHubError
	var insecure *TLSError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &nobody):
		return nobody
	case errors.As(err, &insecure):
		return insecure
	case isAlert(err):
		return c.refused(err)
	}
	what := innermost(err).Error()
	if says, malformed := strings.CutPrefix(what, "malformed HTTP response "); malformed { // net/http has no type for it
		return &Problem{Detail: fmt.Sprintf("what answers at %s (%s) is not the API of a hub: it says %s; --api ADDRESS says where that is", c.place.list(), c.place.By, says)}
	}
	says := "what came is no answer (" + what + ")"
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		says = fmt.Sprintf("nothing came within %v", answerTime)
	case hasHungUp(err):
		says = "it closed the connection"
	}
	return &LostError{Reason: fmt.Sprintf("the hub at %s did not answer: %s; is that address (%s) the API's, and not that of a link's end?", c.place.list(), says, c.place.By)}
}
