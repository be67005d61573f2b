package client

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	"serialhub/internal/rest"
)

// Links asks for all links.
func (c *Client) Links(ctx context.Context) ([]rest.Link, error) {
	links, err := c.calls.ListLinks(ctx)
	return links.Links, c.check(err, links.Links != nil, "it tells of no links")
}

// Link asks for the link of that name.
func (c *Client) Link(ctx context.Context, name string) (rest.Link, error) {
	link, err := c.calls.GetLink(ctx, name)
	return link, c.checkLink(err, name, link)
}

// Reset closes the peer of an end, or of both if it is "", and opens the link again. It returns the link as it is then.
func (c *Client) Reset(ctx context.Context, name, end string) (rest.Link, error) {
	var params rest.ResetLinkParams
	if end != "" {
		side := rest.EndName(end)
		params.End = &side
	}
	link, err := c.calls.ResetLink(ctx, name, params)
	return link, c.checkLink(err, name, link)
}

// Stop holds a link down. It returns the link as it is then.
func (c *Client) Stop(ctx context.Context, name string) (rest.Link, error) {
	link, err := c.calls.StopLink(ctx, name)
	return link, c.checkLink(err, name, link)
}

// Start lets a link go again that was stopped or has failed. It returns the link as it is then.
func (c *Client) Start(ctx context.Context, name string) (rest.Link, error) {
	link, err := c.calls.StartLink(ctx, name)
	return link, c.checkLink(err, name, link)
}

// Reload has the hub read its config again. If that has faults, nothing has changed, and the *Problem lists them.
func (c *Client) Reload(ctx context.Context) (rest.Changes, error) {
	changes, err := c.calls.ReloadConfig(ctx)
	return changes, c.check(err, changes.Unchanged != nil, "it does not tell what has changed")
}

// Status asks for the hub itself.
func (c *Client) Status(ctx context.Context) (rest.Status, error) {
	status, err := c.calls.GetStatus(ctx)
	return status, c.check(err, status.PID != 0, "it tells no pid")
}

// Break sends a break, of the usual length, to the peer at an end.
func (c *Client) Break(ctx context.Context, name, end string) error {
	_, err := c.calls.BreakLink(ctx, name, rest.BreakLinkParams{End: rest.EndName(end)})
	return err
}

// Send says data to the peer at an end, as if it came from the other one: all of it, or nothing. If a peer is there at the other end,
// the hub refuses, unless inject says that it may.
func (c *Client) Send(ctx context.Context, name, end string, inject bool, data []byte) error {
	answer, err := c.calls.SendToLink(ctx, name, rest.SendToLinkParams{To: rest.EndName(end), Inject: flag(inject)}, bytes.NewReader(data))
	if err == nil && answer.Sent != len(data) {
		err = fmt.Errorf("the hub says that it has sent %d bytes, of %d", answer.Sent, len(data))
	}
	return err
}

// flag is a parameter that is only there if it is true.
func flag(set bool) *rest.Flag {
	if !set {
		return nil
	}
	yes := "true"
	return &yes
}

// check returns err, or an error if what has answered is no hub: one tells something.
func (c *Client) check(err error, tells bool, stranger string) error {
	if err == nil && !tells {
		return &Problem{Status: http.StatusOK, Detail: c.stranger(stranger)}
	}
	return err
}

func (c *Client) checkLink(err error, name string, link rest.Link) error {
	return c.check(err, link.State != "", "it tells no state of "+name)
}

// HasPeer tells whether somebody is connected. Of a terminal's or a device's peer the hub may know nothing else.
func HasPeer(end rest.End) bool { return end.Peer != nil || end.State == rest.EndConnected }

// PeerName says in a few words who a peer is; nil is nobody.
func PeerName(p *rest.Peer) string {
	if p == nil {
		return "nobody"
	}
	text := p.Command
	if text == "" {
		text = p.Address
	}
	if text == "" {
		text = "somebody"
	}
	if p.VM != "" {
		text += " (" + p.VM + ")"
	}
	if p.PID != nil && *p.PID != 0 {
		text += fmt.Sprintf(", pid %d", *p.PID)
	}
	return Printable(text)
}
