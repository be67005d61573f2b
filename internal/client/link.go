package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// Link is what the hub tells of a link, as far as the commands use it.
type Link struct {
	Name  string         `json:"name"`
	State string         `json:"state"`
	Ends  map[string]End `json:"ends"` // by "a" and "b"
}

// End is one side of a link.
type End struct {
	Address string `json:"address"`
	State   string `json:"state"`
	Peer    *Peer  `json:"peer"` // nil while nobody is connected
}

// HasPeer tells whether somebody is connected. Of a terminal's or a device's peer the hub may know nothing else.
func (e End) HasPeer() bool { return e.Peer != nil || e.State == "connected" }

// Peer is who is connected to an end.
type Peer struct {
	PID     int    `json:"pid"` // 0 if it is not a program on the hub's machine
	Command string `json:"command"`
	VM      string `json:"vm"`
	Address string `json:"address"` // for who is not at a unix socket
}

// String says who it is in a few words.
func (p *Peer) String() string {
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
	if p.PID != 0 {
		text += fmt.Sprintf(", pid %d", p.PID)
	}
	return Printable(text)
}

// Link asks for the link of that name.
func (c *Client) Link(ctx context.Context, name string) (*Link, error) {
	link := &Link{}
	if err := c.call(ctx, http.MethodGet, c.address(name, "", nil), nil, link); err != nil {
		return nil, err
	}
	if link.State == "" {
		return nil, &Problem{Status: http.StatusOK, Detail: c.stranger("it tells no state of " + name)}
	}
	return link, nil
}

// Break sends a break, of the usual length, to the peer at an end.
func (c *Client) Break(ctx context.Context, name, end string) error {
	return c.call(ctx, http.MethodPost, c.address(name, "break", url.Values{"end": {end}}), nil, &Link{})
}

// Send says data to the peer at an end, as if it came from the other one: all of it, or nothing. If a peer is there at the other end,
// the hub refuses, unless inject says that it may.
func (c *Client) Send(ctx context.Context, name, end string, inject bool, data []byte) error {
	query := url.Values{"to": {end}}
	if inject {
		query.Set("inject", "true")
	}
	var answer struct{ Sent int }
	if err := c.call(ctx, http.MethodPost, c.address(name, "send", query), data, &answer); err != nil {
		return err
	}
	if answer.Sent != len(data) {
		return fmt.Errorf("the hub says that it has sent %d bytes, of %d", answer.Sent, len(data))
	}
	return nil
}
