package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"
)

// ready waits until a hub says that all its ends are open; other relays are ready when both ends are connected. A hub's
// socket takes connections a moment before the hub looks after it. What is said to who has connected in that moment
// could be taken for something said to nobody.
func (r *rig) ready() error {
	if r.api == "" {
		return nil
	}
	return r.until(func(api *http.Client) bool {
		response, err := r.get(api, "/readyz")
		return err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusOK
	})
}

// joined waits until a hub says that every link has both its peers. It may have the handshake of TLS to finish yet, when the client
// has done so.
func (r *rig) joined() error {
	if r.api == "" {
		return nil
	}
	return r.until(func(api *http.Client) bool {
		response, err := r.get(api, "/status")
		if err != nil {
			return false
		}
		var status struct{ Links map[string]int }
		err = json.NewDecoder(response.Body).Decode(&status)
		return errors.Join(err, response.Body.Close()) == nil && status.Links["up"] == r.links
	})
}

// until asks a hub's API until the answer is yes. Any failure is a no: the API's socket may not be there yet.
func (r *rig) until(yes func(*http.Client) bool) error {
	api := r.caller()
	for {
		select {
		case p := <-r.ended:
			return p.gone()
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		default:
		}
		if yes(api) {
			return nil
		}
		<-time.After(time.Millisecond)
	}
}

// caller is who asks a hub's API.
func (r *rig) caller() *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", r.api)
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true, ReadBufferSize: tapBuffer}}
}

// get asks a hub's API.
func (r *rig) get(api *http.Client, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(r.ctx, http.MethodGet, "http://hub"+path, nil)
	if err != nil {
		return nil, err
	}
	return api.Do(request)
}
