package main

import (
	"context"
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
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", r.api)
	}
	api := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	for {
		select {
		case p := <-r.ended:
			return p.gone()
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		default:
		}
		if r.saysReady(&api) {
			return nil
		}
		<-time.After(time.Millisecond)
	}
}

// saysReady asks once. Any failure is a no: the API's socket may not be there yet.
func (r *rig) saysReady(api *http.Client) bool {
	request, err := http.NewRequestWithContext(r.ctx, http.MethodGet, "http://hub/readyz", nil)
	if err != nil {
		return false
	}
	response, err := api.Do(request)
	if err != nil {
		return false
	}
	return response.Body.Close() == nil && response.StatusCode == http.StatusOK
}
